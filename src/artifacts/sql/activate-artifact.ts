import { type Database, transaction } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { activateVersion, lockVersions, moveMark } from './move-mark.ts'

const GET = `
  select ${ARTIFACT_COLUMNS}, encode(sha256(bytes), 'hex') = sha256 as intact
  from artifacts where id = $1`

const PROMOTE = `
  update artifacts set status = 'promoted' where id = $1 and status = 'candidate' and passed
  returning anchor_on_promotion`

export interface ActivationOptions {
  /** Throws when the artifact must not become active. */
  readonly check: (artifact: Artifact, intact: boolean) => void
  /** Whether the operator insists on it. */
  readonly force: boolean
}

/**
 * Makes an artifact the active version by an operator's wish. A candidate that waits for it is promoted, and
 * becomes the anchor if its verdict was so.
 *
 * @returns null when there is no such artifact
 */
export async function activateArtifact(
  database: Pick<Database, 'pool'>,
  id: string,
  { check, force }: ActivationOptions,
): Promise<Artifact | null> {
  return transaction(database, 'activate artifact', async (client) => {
    await lockVersions(client, id)
    const { rows } = await client.query<ArtifactRow & { intact: boolean | null }>(GET, [id])
    if (rows[0] === undefined) return null
    const artifact = toArtifact(rows[0])
    check(artifact, rows[0].intact === true)
    const promoted = await client.query<{ anchor_on_promotion: boolean }>(PROMOTE, [id])
    const isPromoted = promoted.rowCount === 1
    const activatedBy = isPromoted && !force ? 'promotion' : 'operator'
    await activateVersion(client, id, activatedBy)
    if (promoted.rows[0]?.anchor_on_promotion) await moveMark(client, id, 'anchor')
    const status = isPromoted ? 'promoted' : artifact.status
    return { ...artifact, status, active: true, activatedBy }
  })
}
