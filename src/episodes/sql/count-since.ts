import { type Database, query } from '#database'
import { KEPT } from './kept-episodes.ts'

const SQL = `
  select count(*)::integer as episodes from episodes
  where fingerprint = $1 and origin = 'request' and created_at > coalesce($2::timestamptz, '-infinity')
    and ${KEPT}`

export async function countSince(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  since: Date | null,
): Promise<number> {
  const { rows } = await query<{ episodes: number }>(database, 'count episodes', SQL, [fingerprint, since])
  return rows[0]?.episodes ?? 0
}
