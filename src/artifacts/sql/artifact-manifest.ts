import { type Database, query } from '#database'
import type { ArtifactManifest } from '../artifact.ts'

const SQL = `
  select manifest || jsonb_build_object('episodes', (
    select coalesce(
      jsonb_agg(jsonb_build_object('tenantId', tenant_id, 'episodeId', episode_id) order by position), '[]'
    )
    from artifact_episodes where artifact_id = artifacts.id
  )) as manifest
  from artifacts where id = $1`

export async function artifactManifest(
  database: Pick<Database, 'pool'>,
  id: string,
): Promise<ArtifactManifest | null> {
  const { rows } = await query<{ manifest: ArtifactManifest }>(database, 'read manifest', SQL, [id])
  return rows[0]?.manifest ?? null
}
