import { type Database, query } from '#database'

const SQL = 'delete from episodes where tenant_id = $1'

/** Deletes all episodes of a tenant. @returns the number of deleted episodes */
export async function removeAllEpisodes(database: Pick<Database, 'pool'>, tenantId: string): Promise<number> {
  const { rowCount } = await query(database, 'remove all episodes', SQL, [tenantId])
  return rowCount ?? 0
}
