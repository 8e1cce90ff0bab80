/** @file What the snapshots of a consolidation covered, in columns that outlive the snapshots. */

import { type Database, query } from '#database'

export interface Coverage {
  /** Creation time of the newest episode of the model; null when there was none. */
  readonly newestAt: Date | null
  /** Number of episodes of the model. */
  readonly episodes: number
}

/** Of the snapshots of several kinds, and of a repeated step, the smallest figures stay. */
const NOTE = `
  update consolidations
  set newest_at = least(newest_at, $2), covered_episodes = least(covered_episodes, $3)
  where id = $1`

export async function noteCoverage(
  database: Pick<Database, 'pool'>,
  id: string,
  { newestAt, episodes }: Coverage,
): Promise<boolean> {
  const { rowCount } = await query(database, 'note coverage', NOTE, [id, newestAt, episodes])
  return rowCount === 1
}

const GET = 'select newest_at, covered_episodes from consolidations where id = $1'

interface Row {
  readonly newest_at: Date | null
  readonly covered_episodes: number | null
}

/** Returns null when the consolidation has taken no snapshot, or there is no such consolidation. */
export async function coverageOf(database: Pick<Database, 'pool'>, id: string): Promise<Coverage | null> {
  const { rows } = await query<Row>(database, 'read coverage', GET, [id])
  const { newest_at: newestAt = null, covered_episodes: episodes = null } = rows[0] ?? {}
  return episodes === null ? null : { newestAt, episodes }
}
