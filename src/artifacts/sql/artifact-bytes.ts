import { type Database, query } from '#database'

const SQL = 'select bytes, sha256 from artifacts where id = $1'

/**
 * Returns the stored bytes without a check, null when retention has deleted them. Returns null when there is
 * no such artifact.
 */
export async function artifactBytes(
  database: Pick<Database, 'pool'>,
  id: string,
): Promise<{ readonly bytes: Buffer | null; readonly sha256: string } | null> {
  const { rows } = await query<{ bytes: Buffer | null; sha256: string }>(database, 'read artifact', SQL, [id])
  return rows[0] ?? null
}
