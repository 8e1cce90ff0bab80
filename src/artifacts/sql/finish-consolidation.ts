import { type Database, query } from '#database'
import type { ConsolidatedArtifact } from '../consolidation.ts'

const SQL = `
  update consolidations set
    status = $2, artifacts = $3, episodes = coalesce($4, episodes), error = $5, finished_at = now(),
    progress = case when $2 = 'failed' then progress else 1 end
  where id = $1 and finished_at is null`

export interface Outcome {
  readonly status: 'promoted' | 'awaiting-review' | 'rejected' | 'failed'
  readonly artifacts: readonly ConsolidatedArtifact[]
  readonly episodes: number | null
  readonly error: string | null
}

/** Ends a consolidation. @returns false when it had ended before, or there is no such consolidation */
export async function finishConsolidation(
  database: Pick<Database, 'pool'>,
  id: string,
  { status, artifacts, episodes, error }: Outcome,
): Promise<boolean> {
  const values = [id, status, JSON.stringify(artifacts), episodes, error]
  const { rowCount } = await query(database, 'finish consolidation', SQL, values)
  return rowCount === 1
}
