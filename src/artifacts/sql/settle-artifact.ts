import { type Database, transaction } from '#database'
import type { Artifact, Metrics } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { lockVersions, setActiveVersion, setAnchor } from './set-active-version.ts'

const SETTLE = `
  update artifacts
  set status = $2, reason = $3, metrics = coalesce($4, metrics), baseline = coalesce($5, baseline)
  where id = $1 and status = 'candidate'`
const GET = `select ${ARTIFACT_COLUMNS} from artifacts where id = $1`

export interface Verdict {
  readonly status: 'promoted' | 'rejected'
  /** Whether a promoted version becomes the anchor of its kind. */
  readonly isAnchor: boolean
  readonly reason: string | null
  /** If undefined, the metrics with which the artifact was added stay. */
  readonly metrics?: Metrics | undefined
  readonly baseline?: Metrics | undefined
}

/**
 * Records the verdict on a candidate; an earlier verdict stays. @returns null when there is no such artifact
 */
export async function settleArtifact(
  database: Pick<Database, 'pool'>,
  id: string,
  { status, isAnchor, reason, metrics, baseline }: Verdict,
): Promise<Artifact | null> {
  return transaction(database, 'settle artifact', async (client) => {
    await lockVersions(client, id)
    const settled = await client.query(SETTLE, [
      id,
      status,
      reason,
      metrics === undefined ? null : JSON.stringify(metrics),
      baseline === undefined ? null : JSON.stringify(baseline),
    ])
    if (settled.rowCount === 1 && status === 'promoted') {
      await setActiveVersion(client, id)
      if (isAnchor) await setAnchor(client, id)
    }
    const { rows } = await client.query<ArtifactRow>(GET, [id])
    return rows[0] === undefined ? null : toArtifact(rows[0])
  })
}
