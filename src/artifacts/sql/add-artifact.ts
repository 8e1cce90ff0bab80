import { type Database, transaction } from '#database'
import type { Artifact, NewArtifact } from '../artifact.ts'
import { ARTIFACT_COLUMNS, type ArtifactRow, toArtifact } from './artifact-row.ts'

/**
 * Excludes other calls that add an artifact, so that no version number is used twice, and deletions of
 * episodes. An earlier deletion is seen by the statement below; a later one sees the rows written here
 * (`count_deleted_episodes`).
 */
const LOCK = 'lock table artifact_episodes in share row exclusive mode'

/** Episodes that were deleted while it was trained count as erased: why they are gone is not recorded. */
const ADD = `
  with added as (
    insert into artifacts (
      consolidation_id, kind, fingerprint, number, sha256, bytes, size, manifest, metrics, baseline, episodes,
      erased_episodes
    )
    select
      consolidations.id, $2, $3,
      (select coalesce(max(number), 0) + 1 from artifacts where kind = $2 and fingerprint = $3),
      $4, $5, octet_length($5::bytea), $6, $7, $8, cardinality($9::text[]),
      (
        select count(*) from unnest($9::text[], $10::uuid[]) as trained (tenant_id, episode_id)
        where not exists (
          select from episodes where tenant_id = trained.tenant_id and id = trained.episode_id
        )
      )
    from consolidations where consolidations.id = $1
    on conflict (consolidation_id, kind) do nothing
    returning ${ARTIFACT_COLUMNS}
  ),
  trained as (
    insert into artifact_episodes (tenant_id, episode_id, artifact_id, position)
    select tenant_id, episode_id, added.id, ordinal - 1
    from added, unnest($9::text[], $10::uuid[]) with ordinality as trained (tenant_id, episode_id, ordinal)
  )
  select * from added`

const FIND = `select ${ARTIFACT_COLUMNS} from artifacts where consolidation_id = $1 and kind = $2`

/**
 * Adds an artifact unless the consolidation has added one of this kind already.
 *
 * @returns the consolidation's artifact of this kind; null when there is no such consolidation
 */
export async function addArtifact(
  database: Pick<Database, 'pool'>,
  { consolidationId, manifest, bytes, metrics, baseline }: NewArtifact,
  sha256: string,
): Promise<Artifact | null> {
  const { episodes, ...stored } = manifest
  return transaction(database, 'add artifact', async (client) => {
    await client.query(LOCK)
    const added = await client.query<ArtifactRow>(ADD, [
      consolidationId,
      manifest.kind,
      manifest.fingerprint,
      sha256,
      bytes,
      JSON.stringify(stored),
      JSON.stringify(metrics),
      JSON.stringify(baseline),
      episodes.map(({ tenantId }) => tenantId),
      episodes.map(({ episodeId }) => episodeId),
    ])
    const row =
      added.rows[0] ?? (await client.query<ArtifactRow>(FIND, [consolidationId, manifest.kind])).rows[0]
    return row === undefined ? null : toArtifact(row)
  })
}
