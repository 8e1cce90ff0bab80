import { type Database, transaction } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { lockVersions, moveMark } from './move-mark.ts'

const GET = `
  select ${ARTIFACT_COLUMNS}, encode(sha256(bytes), 'hex') = sha256 as intact
  from artifacts where id = $1`

const PROMOTE = `
  update artifacts set status = 'promoted' where id = $1 and status = 'candidate' and passed
  returning anchor_on_promotion`

/**
 * Makes an artifact the active version. A candidate that waits for it is promoted, and becomes the anchor if
 * its verdict was so.
 *
 * @param check throws when the artifact must not become active
 * @returns null when there is no such artifact
 */
export async function activateArtifact(
  database: Pick<Database, 'pool'>,
  id: string,
  check: (artifact: Artifact, intact: boolean) => void,
): Promise<Artifact | null> {
  return transaction(database, 'activate artifact', async (client) => {
    await lockVersions(client, id)
    const { rows } = await client.query<ArtifactRow & { intact: boolean | null }>(GET, [id])
    if (rows[0] === undefined) return null
    const artifact = toArtifact(rows[0])
    check(artifact, rows[0].intact === true)
    const promoted = await client.query<{ anchor_on_promotion: boolean }>(PROMOTE, [id])
    await moveMark(client, id, 'active')
    if (promoted.rows[0]?.anchor_on_promotion) await moveMark(client, id, 'anchor')
    const status = promoted.rowCount === 1 ? 'promoted' : artifact.status
    return { ...artifact, status, active: true }
  })
}
