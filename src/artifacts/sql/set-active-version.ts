/** @file Sets the active version of a model, for promotion and for activation by an operator. */

import type { PoolClient } from 'pg'

/** Locks all versions of the artifact's kind and model, always in the order of ids. */
const LOCK = `
  select artifacts.id from artifacts
  join artifacts as wanted using (fingerprint, kind)
  where wanted.id = $1
  order by artifacts.id
  for update of artifacts`

// Two statements: a single UPDATE would violate the unique index on the way.
const DEACTIVATE = `
  update artifacts set active = false
  where active and id <> $1 and (fingerprint, kind) = (select fingerprint, kind from artifacts where id = $1)`
const ACTIVATE = 'update artifacts set active = true where id = $1 and not active'

/** Makes other changes of this kind and model wait until the caller's transaction ends. */
export async function lockVersions(client: PoolClient, id: string): Promise<void> {
  await client.query(LOCK, [id])
}

/** Makes the artifact the active version. The caller's transaction must hold `lockVersions`. */
export async function setActiveVersion(client: PoolClient, id: string): Promise<void> {
  await client.query(DEACTIVATE, [id])
  await client.query(ACTIVATE, [id])
}

const CLEAR_ANCHOR = `
  update artifacts set anchor = false
  where anchor and id <> $1 and (fingerprint, kind) = (select fingerprint, kind from artifacts where id = $1)`
const SET_ANCHOR = 'update artifacts set anchor = true where id = $1 and not anchor'

/** Makes the artifact the anchor of its kind. The caller's transaction must hold `lockVersions`. */
export async function setAnchor(client: PoolClient, id: string): Promise<void> {
  await client.query(CLEAR_ANCHOR, [id])
  await client.query(SET_ANCHOR, [id])
}
