import { type Database, transaction } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import { lockVersions } from './move-mark.ts'

const GET = `select ${ARTIFACT_COLUMNS} from artifacts where id = $1`

const REJECT = `
  update artifacts set status = 'rejected', reason = concat_ws('; ', reason, $2::text)
  where id = $1
  returning ${ARTIFACT_COLUMNS}`

/**
 * Rejects a version by an operator's wish.
 *
 * @param check throws when the version must not be rejected
 * @returns null when there is no such artifact
 */
export async function rejectArtifact(
  database: Pick<Database, 'pool'>,
  id: string,
  { check, reason }: { readonly check: (artifact: Artifact) => void; readonly reason: string },
): Promise<Artifact | null> {
  return transaction(database, 'reject artifact', async (client) => {
    await lockVersions(client, id)
    const { rows } = await client.query<ArtifactRow>(GET, [id])
    if (rows[0] === undefined) return null
    check(toArtifact(rows[0]))
    const rejected = await client.query<ArtifactRow>(REJECT, [id, reason])
    return rejected.rows[0] === undefined ? null : toArtifact(rejected.rows[0])
  })
}
