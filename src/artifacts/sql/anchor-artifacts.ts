import { type Database, query } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'

const SQL = `select ${ARTIFACT_COLUMNS} from artifacts where fingerprint = $1 and anchor`

/** Returns the anchors of a model, at most one of each kind. */
export async function anchorArtifacts(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
): Promise<readonly Artifact[]> {
  const { rows } = await query<ArtifactRow>(database, 'anchor artifacts', SQL, [fingerprint])
  return rows.map(toArtifact)
}
