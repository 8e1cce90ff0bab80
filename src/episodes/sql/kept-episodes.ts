/**
 * @file The conditions that leave out hidden episodes: those of a deletion that a worker has not erased yet. An
 * episode is hidden when it was created at or before the cut-off of its tenant (migrations/0080_deletions.sql).
 */

/** Condition of statements about one tenant, `$1`. Postgres reads the cut-off once for each statement. */
export const KEPT_OF_TENANT = 'created_at > (select erased_until($1))'

/** Condition of statements across tenants; the statement names the table `episodes`. */
export const KEPT = `
  not exists (
    select from tenant_cutoffs
    where tenant_cutoffs.tenant_id = episodes.tenant_id and episodes.created_at <= erased_until
  )`
