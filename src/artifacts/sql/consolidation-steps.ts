/** @file The steps of a consolidation: which one is in hand, and what finished ones left. */

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

/** Two workers may do one step at once: whoever is first has its result kept. */
const FINISH = `
  insert into consolidation_steps (consolidation_id, step, result)
  select id, $2, $3 from consolidations where id = $1
  on conflict do nothing`

/** @returns false when it was finished before, or there is no such consolidation */
export async function finishStep(
  database: Pick<Database, 'pool'>,
  id: string,
  { step, result }: { readonly step: string; readonly result: unknown },
): Promise<boolean> {
  const { rowCount } = await query(database, 'finish step', FINISH, [id, step, JSON.stringify(result)])
  return rowCount === 1
}

const RESULT = 'select result from consolidation_steps where consolidation_id = $1 and step = $2'

/** @returns null while it is not finished, or there is no such consolidation */
export async function stepResult(
  database: Pick<Database, 'pool'>,
  id: string,
  step: string,
): Promise<unknown> {
  const { rows } = await query<{ result: unknown }>(database, 'step result', RESULT, [id, step])
  return rows[0]?.result ?? null
}
