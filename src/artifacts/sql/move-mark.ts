/** @file Moves the marks of a model's versions: for promotion, activation by an operator, and rollback. */

import type { PoolClient } from 'pg'
import type { Activation } from '../artifact.ts'

/** Locks all versions of the artifact's kind and model, always in the order of ids. */
const LOCK = `
  select artifacts.id from artifacts
  join artifacts as wanted using (fingerprint, kind)
  where wanted.id = $1
  order by artifacts.id
  for update of artifacts`

/** Marks that at most one version of a kind and model has: the active version, and the anchor of the gates. */
export type VersionMark = 'active' | 'anchor'

/** Makes other changes of this kind and model wait until the caller's transaction ends. */
export async function lockVersions(client: PoolClient, id: string): Promise<void> {
  await client.query(LOCK, [id])
}

/**
 * Moves a mark to the artifact, which remembers the version that had it. The caller's transaction must hold
 * `lockVersions`.
 */
export async function moveMark(client: PoolClient, id: string, mark: VersionMark): Promise<void> {
  // Two statements: a single UPDATE would violate the unique index on the way.
  const { rows } = await client.query<{ id: string }>(
    `update artifacts set ${mark} = false
    where ${mark} and id <> $1 and (fingerprint, kind) = (select fingerprint, kind from artifacts where id = $1)
    returning id`,
    [id],
  )
  await client.query(
    `update artifacts set ${mark} = true, ${mark}_before = $2 where id = $1 and not ${mark}`,
    [id, rows[0]?.id ?? null],
  )
}

const SINCE = `
  update artifacts
  set activated_by = $2, active_since = case when active then active_since else now() end
  where id = $1`

/**
 * Makes the artifact the active version, and records why. When it is active already, only the cause changes.
 * The caller's transaction must hold `lockVersions`.
 */
export async function activateVersion(client: PoolClient, id: string, cause: Activation): Promise<void> {
  await client.query(SINCE, [id, cause])
  await moveMark(client, id, 'active')
}
