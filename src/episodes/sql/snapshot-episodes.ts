import { type Database, transaction } from '#database'
import { tenantCaps } from '../tenant-caps.ts'
import type { SnapshotRequest, TrainingMaterial, TrainingSnapshot } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'

/**
 * Conditions under which an indexed episode has the material. Column `steers`: the episode is retrievable.
 * Column `has_thoughts`: a candidate has both label and thought. Both are in the index of model and tenant,
 * so a snapshot reads neither candidates nor thoughts, however long the history is.
 */
const USABLE: Readonly<Record<TrainingMaterial, string>> = {
  thoughts: 'has_thoughts',
  latents: 'steers',
  // An indexed episode has labels: the last source, self-reward, labels every answer.
  answers: 'true',
  asked: "origin = 'request'",
}

const COUNT = (material: TrainingMaterial) => `
  select
    count(*)::integer as episodes,
    (count(*) filter (where status = 'pending'))::integer as pending,
    (count(*) filter (where status = 'indexed' and ${USABLE[material]}))::integer as usable,
    max(created_at) as newest_at
  from episodes where fingerprint = $1 and ${KEPT}
  group by tenant_id`

const KEYS = (material: TrainingMaterial) => `
  select tenant_id, id from (
    select tenant_id, id, created_at,
      row_number() over (partition by tenant_id order by created_at desc, id desc) as age
    from episodes where fingerprint = $1 and status = 'indexed' and ${USABLE[material]} and ${KEPT}
  ) as usable
  where age <= $2
  order by created_at desc, tenant_id, id desc`

interface TenantRow {
  readonly episodes: number
  readonly pending: number
  readonly usable: number
  readonly newest_at: Date
}

export async function snapshotEpisodes(
  database: Pick<Database, 'pool'>,
  {
    fingerprint,
    material,
    limit = Number.MAX_SAFE_INTEGER,
    maxTenantShare,
    minPerTenant = 200,
  }: SnapshotRequest,
): Promise<TrainingSnapshot> {
  return transaction(database, 'snapshot episodes', async (client) => {
    // Both statements must read the same state of the database.
    await client.query('set transaction isolation level repeatable read')
    const { rows: tenants } = await client.query<TenantRow>(COUNT(material), [fingerprint])
    const usable = tenants.map((tenant) => tenant.usable)
    const caps = tenantCaps(usable, { limit, maxShare: maxTenantShare, minEach: minPerTenant })
    const cap = Math.min(caps.byShare, caps.byLimit)
    const { rows } = await client.query<{ tenant_id: string; id: string }>(KEYS(material), [fingerprint, cap])

    const episodes = sum(tenants.map((tenant) => tenant.episodes))
    const pending = sum(tenants.map((tenant) => tenant.pending))
    const overShare = sum(usable.map((count) => Math.max(0, count - caps.byShare)))
    return {
      episodes: rows.map((row) => ({ tenantId: row.tenant_id, episodeId: row.id })),
      counts: {
        episodes,
        pending,
        unusable: episodes - pending - sum(usable),
        overShare,
        overLimit: sum(usable) - overShare - rows.length,
        kept: rows.length,
      },
      newestAt: tenants.reduce<Date | null>(
        (newest, { newest_at: at }) => (newest === null || at > newest ? at : newest),
        null,
      ),
    }
  })
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
