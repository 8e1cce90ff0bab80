/** @file The current step of a consolidation, and the results of finished steps. */

import { type Database, query } from '#database'

const ENTER = `
  update consolidations set step = $2, progress = $3
  where id = $1 and finished_at is null`

export async function enterStep(
  database: Pick<Database, 'pool'>,
  id: string,
  { step, progress }: { readonly step: string; readonly progress: number },
): Promise<boolean> {
  const { rowCount } = await query(database, 'enter step', ENTER, [id, step, progress])
  return rowCount === 1
}

/** Two workers may run one step at the same time: the result of the first to finish is kept. */
const FINISH = `
  insert into consolidation_steps (consolidation_id, step, result)
  select id, $2, $3 from consolidations where id = $1
  on conflict do nothing`

/** Records a step's result. @returns false when the step has a result, or there is no such consolidation */
export async function finishStep(
  database: Pick<Database, 'pool'>,
  id: string,
  { step, result }: { readonly step: string; readonly result: unknown },
): Promise<boolean> {
  const { rowCount } = await query(database, 'finish step', FINISH, [id, step, JSON.stringify(result)])
  return rowCount === 1
}

const RESULT = 'select result from consolidation_steps where consolidation_id = $1 and step = $2'

/** Returns a step's result; null while the step is not finished, or when there is no such consolidation. */
export async function stepResult(
  database: Pick<Database, 'pool'>,
  id: string,
  step: string,
): Promise<unknown> {
  const { rows } = await query<{ result: unknown }>(database, 'step result', RESULT, [id, step])
  return rows[0]?.result ?? null
}
