import { type Database, query } from '#database'
import type { StepRecord } from '../consolidation-report.ts'

const SQL = `
  select step, result, finished_at from consolidation_steps
  where consolidation_id = $1
  order by finished_at, step`

interface Row {
  readonly step: string
  readonly result: unknown
  readonly finished_at: Date
}

/** Returns the finished steps, in the order in which they finished. */
export async function listSteps(
  database: Pick<Database, 'pool'>,
  id: string,
): Promise<readonly StepRecord[]> {
  const { rows } = await query<Row>(database, 'list steps', SQL, [id])
  return rows.map(({ step, result, finished_at }) => ({
    step,
    result,
    finishedAt: finished_at.toISOString(),
  }))
}
