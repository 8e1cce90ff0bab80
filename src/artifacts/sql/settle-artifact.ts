import type { PoolClient } from 'pg'
import { type Database, transaction } from '#database'
import type { Artifact, Metrics } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { activateVersion, lockVersions, moveMark } from './move-mark.ts'

const SETTLE = `
  update artifacts
  set status = $2, passed = $3, anchor_on_promotion = $4, reason = $5,
    metrics = coalesce($6, metrics), baseline = coalesce($7, baseline)
  where id = $1 and status = 'candidate' and passed is null
  returning ${ARTIFACT_COLUMNS}`
const GET = `select ${ARTIFACT_COLUMNS} from artifacts where id = $1`

/** Rejects older candidates of the kind that wait for their activation. */
const REJECT_WAITING = `
  update artifacts set status = 'rejected', reason = concat_ws('; ', artifacts.reason, $2::text)
  from artifacts as newer
  where newer.id = $1 and (artifacts.fingerprint, artifacts.kind) = (newer.fingerprint, newer.kind)
    and artifacts.number < newer.number and artifacts.status = 'candidate' and artifacts.passed`

const ACTIVE = `
  select other.id, other.kind || '-' || other.number as version from artifacts as other
  join artifacts as settled using (fingerprint, kind)
  where settled.id = $1 and other.active`

export interface Verdict {
  readonly passed: boolean
  /** Whether the version becomes the anchor of its kind when it is promoted. */
  readonly isAnchor: boolean
  /** Whether a version that passed waits for its activation instead of being promoted. */
  readonly isReviewed: boolean
  /** Id of the version that the gate compared with as the active one, null for none; undefined: not checked. */
  readonly comparedWith?: string | null | undefined
  readonly reason: string | null
  /** If undefined, the metrics with which the artifact was added stay. */
  readonly metrics?: Metrics | undefined
  readonly baseline?: Metrics | undefined
}

/**
 * Records the verdict on a candidate; an earlier verdict stays. A candidate that passed waits when the active
 * version is another one than that of the comparison: a rollback or an operator was faster than the promotion.
 * @returns null when there is no such artifact
 */
export async function settleArtifact(
  database: Pick<Database, 'pool'>,
  id: string,
  { passed, isAnchor, isReviewed, comparedWith, reason, metrics, baseline }: Verdict,
): Promise<Artifact | null> {
  return transaction(database, 'settle artifact', async (client) => {
    await lockVersions(client, id)
    const changed =
      passed && comparedWith !== undefined ? await describeChange(client, id, comparedWith) : null
    const waits = isReviewed || changed !== null
    const settled = await client.query<ArtifactRow>(SETTLE, [
      id,
      passed ? (waits ? 'candidate' : 'promoted') : 'rejected',
      passed,
      passed && isAnchor,
      [reason, changed].filter((part) => part !== null).join('; ') || null,
      metrics === undefined ? null : JSON.stringify(metrics),
      baseline === undefined ? null : JSON.stringify(baseline),
    ])
    if (settled.rows[0] !== undefined && passed) {
      const { version } = toArtifact(settled.rows[0])
      await client.query(REJECT_WAITING, [id, `superseded by ${version}, which passed the gate after it`])
      if (!waits) {
        await activateVersion(client, id, 'promotion')
        if (isAnchor) await moveMark(client, id, 'anchor')
      }
    }
    const { rows } = await client.query<ArtifactRow>(GET, [id])
    return rows[0] === undefined ? null : toArtifact(rows[0])
  })
}

/** Returns how the active version differs from the one of the comparison, in words; null when it is that one. */
async function describeChange(
  client: PoolClient,
  id: string,
  comparedWith: string | null,
): Promise<string | null> {
  const { rows } = await client.query<{ id: string; version: string }>(ACTIVE, [id])
  if ((rows[0]?.id ?? null) === comparedWith) return null
  const now = rows[0]?.version ?? 'no version'
  return `waits for its activation by an operator: ${now} is active now, and the gate compared with another`
}
