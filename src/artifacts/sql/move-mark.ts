/** @file Moves the marks of a model's versions, for promotion and for activation by an operator. */

import type { PoolClient } from 'pg'

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

/** Moves a mark to the artifact. The caller's transaction must hold `lockVersions`. */
export async function moveMark(client: PoolClient, id: string, mark: VersionMark): Promise<void> {
  // Two statements: a single UPDATE would violate the unique index on the way.
  await client.query(
    `update artifacts set ${mark} = false
    where ${mark} and id <> $1 and (fingerprint, kind) = (select fingerprint, kind from artifacts where id = $1)`,
    [id],
  )
  await client.query(`update artifacts set ${mark} = true where id = $1 and not ${mark}`, [id])
}
