import { type Database, query } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'

const SQL = `select ${ARTIFACT_COLUMNS} from artifacts where fingerprint = $1 and active`

/** Returns the active versions of a model, at most one of each kind. */
export async function activeArtifacts(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
): Promise<readonly Artifact[]> {
  const { rows } = await query<ArtifactRow>(database, 'active artifacts', SQL, [fingerprint])
  return rows.map(toArtifact)
}
