/** @file The one change of what serves a model, for promotion and for activation by hand. */

import type { PoolClient } from 'pg'

/** All versions of its kind and model, in the order in which everybody locks them. */
const LOCK = `
  select artifacts.id from artifacts
  join artifacts as wanted using (fingerprint, kind)
  where wanted.id = $1
  order by artifacts.id
  for update of artifacts`

// Two statements: one UPDATE would meet the unique index half-way.
const DEACTIVATE = `
  update artifacts set active = false
  where active and id <> $1 and (fingerprint, kind) = (select fingerprint, kind from artifacts where id = $1)`
const ACTIVATE = 'update artifacts set active = true where id = $1 and not active'

/** Changes of one kind and model wait for one another from here to the end of the caller's transaction. */
export async function lockVersions(client: PoolClient, id: string): Promise<void> {
  await client.query(LOCK, [id])
}

/** The caller's transaction holds its versions. */
export async function setActiveVersion(client: PoolClient, id: string): Promise<void> {
  await client.query(DEACTIVATE, [id])
  await client.query(ACTIVATE, [id])
}
