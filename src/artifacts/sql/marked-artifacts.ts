import { type Database, query } from '#database'
import type { Artifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'
import type { VersionMark } from './move-mark.ts'

const SQL = {
  active: `select ${ARTIFACT_COLUMNS} from artifacts where fingerprint = $1 and active`,
  anchor: `select ${ARTIFACT_COLUMNS} from artifacts where fingerprint = $1 and anchor`,
} as const satisfies Record<VersionMark, string>

/** Returns the versions of a model that have the mark, at most one of each kind. */
export async function markedArtifacts(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  mark: VersionMark,
): Promise<readonly Artifact[]> {
  const { rows } = await query<ArtifactRow>(database, `${mark} artifacts`, SQL[mark], [fingerprint])
  return rows.map(toArtifact)
}
