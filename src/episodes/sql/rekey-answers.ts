import type { PoolClient } from 'pg'
import type { AnswerKeys } from '../episode.ts'

interface Row {
  readonly position: number
  readonly text: string
  readonly answer: string
  readonly chosen: boolean
}

const SELECT = `
  select position, text, answer, chosen from candidates
  where tenant_id = $1 and episode_id = $2 and answer is not null
  order by position`

const UPDATE_CANDIDATES = `
  update candidates set answer = keys.key
  from unnest($3::integer[], $4::text[]) as keys (position, key)
  where tenant_id = $1 and episode_id = $2 and candidates.position = keys.position`

const UPDATE_EPISODE = `
  update episodes set answer = coalesce($3, answer), reference = $4, answer_rules = $5
  where tenant_id = $1 and id = $2`

const REFRESH = 'select refresh_superseded($1, $2)'

/** Keys of a stored episode that are not a candidate's, and their rules. */
export interface StoredKeys {
  readonly reference: string | null
  readonly answer_rules: string
}

/** The columns of `StoredKeys`. */
export const STORED_KEYS = 'reference, answer_rules'

/**
 * Brings the answers and the reference of one episode to the rules of today, so that an answer of today is compared
 * with them. The key of a candidate is read from its text again, because a key of other rules may have lost what
 * today's compare: `50%` was `50` to the step `percent`. The text of a reference is not stored: it stays the same as
 * the candidates that it was the same as. The caller's transaction must hold the lock of `lockSteering` and a lock on
 * the episode's row; afterwards, `refreshSuperseded` must be called.
 *
 * @returns the reference under the rules of today; null when the keys are of these rules already
 */
export async function rekeyAnswers(
  client: PoolClient,
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
  { reference, answer_rules: rules }: StoredKeys,
  keys: AnswerKeys,
): Promise<{ readonly reference: string | null } | null> {
  if (rules === keys.rules) return null
  const { rows } = await client.query<Row>(SELECT, [tenantId, id])
  const keyOf = (answer: string) => keys.keyOf(answer) ?? answer
  const candidates = rows.map((row) => ({ ...row, key: keys.keyIn(row.text) ?? keyOf(row.answer) }))
  const same = candidates.find(({ answer }) => answer === reference)
  const rekeyed = reference === null ? null : (same?.key ?? keyOf(reference))
  await client.query(UPDATE_CANDIDATES, [
    tenantId,
    id,
    candidates.map(({ position }) => position),
    candidates.map(({ key }) => key),
  ])
  const chosen = candidates.find((candidate) => candidate.chosen)?.key ?? null
  await client.query(UPDATE_EPISODE, [tenantId, id, chosen, rekeyed, keys.rules])
  return { reference: rekeyed }
}

/** Derives anew which episodes of the question are superseded, once keys and labels of one of them are those of today. */
export async function refreshSuperseded(
  client: PoolClient,
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
): Promise<void> {
  await client.query(REFRESH, [tenantId, id])
}
