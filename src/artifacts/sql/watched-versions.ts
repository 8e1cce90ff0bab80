import { type Database, query } from '#database'
import type { ArtifactKind } from '../artifact.ts'
import type { WatchedVersion } from '../stores.ts'

const SQL = `
  select
    watched.id, watched.kind, watched.fingerprint, watched.number, watched.active_since, watched.health_looks,
    watched.health_outcomes, before.number as before_number
  from artifacts as watched
  left join artifacts as before on before.id = watched.active_before
  where watched.active and watched.status = 'promoted' and watched.activated_by = 'promotion'
  order by watched.fingerprint, watched.kind`

interface Row {
  readonly id: string
  readonly kind: ArtifactKind
  readonly fingerprint: string
  readonly number: number
  readonly active_since: Date
  readonly health_looks: number
  readonly health_outcomes: number
  readonly before_number: number | null
}

/** Returns the versions of all models that are active since their promotion. */
export async function watchedVersions(database: Pick<Database, 'pool'>): Promise<readonly WatchedVersion[]> {
  const { rows } = await query<Row>(database, 'watched versions', SQL)
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    fingerprint: row.fingerprint,
    version: `${row.kind}-${row.number}`,
    before: row.before_number === null ? null : `${row.kind}-${row.before_number}`,
    activeSince: row.active_since,
    looks: row.health_looks,
    outcomes: row.health_outcomes,
  }))
}
