import { type Database, query } from '#database'

/** Candidates and latents go with it; a job that is still queued finds nothing and ends. */
const SQL = 'delete from episodes where tenant_id = $1 and id = $2'

/** @returns false when there is no such episode */
export async function removeEpisode(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  id: string,
): Promise<boolean> {
  const { rowCount } = await query(database, 'remove episode', SQL, [tenantId, id])
  return rowCount === 1
}
