import { type Database, query } from '#database'
import type { Artifact } from '../artifact.ts'
import type { ArtifactFilter } from '../stores.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'

const SQL = `
  select ${ARTIFACT_COLUMNS} from artifacts
  where ($1::text is null or fingerprint = $1) and ($2::text is null or kind = $2)
  order by created_at desc, id desc
  limit $3`

/** Returns artifacts, newest first. */
export async function listArtifacts(
  database: Pick<Database, 'pool'>,
  { fingerprint, kind, limit }: ArtifactFilter,
): Promise<readonly Artifact[]> {
  const values = [fingerprint ?? null, kind ?? null, limit]
  const { rows } = await query<ArtifactRow>(database, 'list artifacts', SQL, values)
  return rows.map(toArtifact)
}
