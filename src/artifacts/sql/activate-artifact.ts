import { type Database, transaction } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { lockVersions, setActiveVersion } from './set-active-version.ts'

const GET = `
  select ${ARTIFACT_COLUMNS}, encode(sha256(bytes), 'hex') = sha256 as intact
  from artifacts where id = $1`

/**
 * Makes an artifact the active version.
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
    const { rows } = await client.query<ArtifactRow & { intact: boolean }>(GET, [id])
    if (rows[0] === undefined) return null
    const artifact = toArtifact(rows[0])
    check(artifact, rows[0].intact)
    await setActiveVersion(client, id)
    return { ...artifact, active: true }
  })
}
