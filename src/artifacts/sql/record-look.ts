/** @file Records a look at the live outcomes of a version, and rolls the version back when they have fallen. */

import type { PoolClient } from 'pg'
import { type Database, transaction } from '#database'
import type { HealthLook } from '../stores.ts'
import { activateVersion, lockVersions, moveMark } from './move-mark.ts'

/** An operator's activation, another rollback and the look of another worker come first. */
const LOOK = `
  update artifacts set health_looks = $2, health_outcomes = $3
  where id = $1 and active and status = 'promoted' and activated_by = 'promotion' and health_looks = $2 - 1
  returning kind, fingerprint, number, anchor, active_before, anchor_before`

interface Looked {
  readonly kind: string
  readonly fingerprint: string
  readonly number: number
  readonly anchor: boolean
  readonly active_before: string | null
  readonly anchor_before: string | null
}

/** The version that was active before if it may serve, else the newest older one that may. */
const TARGET = `
  select id, number from artifacts
  where fingerprint = $1 and kind = $2 and number < $3 and status = 'promoted'
    and encode(sha256(bytes), 'hex') = sha256
  order by id = $4 desc, number desc
  limit 1`

const REJECT = `
  update artifacts set
    status = 'rejected', active = false, anchor = false, rolled_back_at = now(),
    reason = concat_ws('; ', reason, $2::text),
    metrics = metrics || jsonb_build_object('live', $3::jsonb),
    baseline = baseline || jsonb_build_object('live', $4::jsonb)
  where id = $1`

/**
 * Records the look; when the outcomes have fallen, rejects the version and activates the one before it, in one
 * transaction. An anchor that is rejected is followed by the anchor before it (by none when there was none) or,
 * when that one has no bytes any more, by the newest older version.
 *
 * @returns null when the look is not recorded: the version is no longer watched, or another worker recorded
 *   it; else the version that became active, null for none and when nothing was rolled back
 */
export async function recordLook(
  database: Pick<Database, 'pool'>,
  id: string,
  { look, outcomes, fall }: HealthLook,
): Promise<{ readonly to: string | null } | null> {
  return transaction(database, 'record health look', async (client) => {
    await lockVersions(client, id)
    const { rows } = await client.query<Looked>(LOOK, [id, look, outcomes])
    const looked = rows[0]
    if (looked === undefined) return null
    if (fall === null) return { to: null }
    const target = looked.active_before === null ? null : await find(client, looked, looked.active_before)
    const anchor =
      looked.anchor && looked.anchor_before !== null ? await find(client, looked, looked.anchor_before) : null
    const to = target && `${looked.kind}-${target.number}`
    if (target !== null) await activateVersion(client, target.id, 'rollback')
    if (anchor !== null) await moveMark(client, anchor.id, 'anchor')
    const reason = `rolled back to ${to ?? 'no version'} by itself: ${fall.reason}`
    await client.query(REJECT, [id, reason, JSON.stringify(fall.since), JSON.stringify(fall.before)])
    return { to }
  })
}

async function find(
  client: PoolClient,
  { fingerprint, kind, number }: Looked,
  preferred: string,
): Promise<{ readonly id: string; readonly number: number } | null> {
  const { rows } = await client.query<{ id: string; number: number }>(TARGET, [
    fingerprint,
    kind,
    number,
    preferred,
  ])
  return rows[0] ?? null
}
