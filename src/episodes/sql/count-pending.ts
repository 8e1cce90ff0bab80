import { type Database, query } from '#database'

/** Reads the partial index of pending episodes only, which is short whatever the history. */
const SQL = "select count(*)::integer as pending from episodes where status = 'pending' and fingerprint = $1"

/** Returns the number of episodes of the model that are not indexed yet. */
export async function countPending(database: Pick<Database, 'pool'>, fingerprint: string): Promise<number> {
  const { rows } = await query<{ pending: number }>(database, 'count pending episodes', SQL, [fingerprint])
  return rows[0]?.pending ?? 0
}
