import type { PoolClient } from 'pg'

const SELECT = `
  select answer from candidates where tenant_id = $1 and episode_id = $2 and answer is not null
  union select answer from episodes where tenant_id = $1 and id = $2 and answer is not null
  union select reference from episodes where tenant_id = $1 and id = $2 and reference is not null`

const UPDATE = `
  with keys as (select * from unnest($3::text[], $4::text[]) as keys (answer, key)),
  rekeyed as (
    update candidates set answer = key from keys
    where tenant_id = $1 and episode_id = $2 and candidates.answer = keys.answer
  )
  update episodes set
    answer = coalesce((select key from keys where keys.answer = episodes.answer), answer),
    reference = coalesce((select key from keys where keys.answer = episodes.reference), reference)
  where tenant_id = $1 and id = $2`

/**
 * Brings the answers and the reference of one episode to the form of the model profile of today, so that an
 * answer of today is compared with them. The caller's transaction must hold a lock on the episode's row.
 *
 * @param keyOf returns the key of an answer; null when nothing is left of it, which changes nothing
 */
export async function rekeyAnswers(
  client: PoolClient,
  { tenantId, id }: { readonly tenantId: string; readonly id: string },
  keyOf: (answer: string) => string | null,
): Promise<void> {
  const { rows } = await client.query<{ answer: string }>(SELECT, [tenantId, id])
  const changed = rows
    .map(({ answer }) => ({ answer, key: keyOf(answer) ?? answer }))
    .filter(({ answer, key }) => key !== answer)
  if (changed.length === 0) return
  await client.query(UPDATE, [
    tenantId,
    id,
    changed.map(({ answer }) => answer),
    changed.map(({ key }) => key),
  ])
}
