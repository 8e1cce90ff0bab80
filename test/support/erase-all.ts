import type { Database } from '#database'
import { type Deletion, eraseBite } from '#episodes'

/** Does all bites of all deletions, as a worker does. @returns the record after each bite */
export async function eraseAll(
  database: Pick<Database, 'pool'>,
  biteEpisodes?: number,
): Promise<readonly Deletion[]> {
  const records: Deletion[] = []
  for (;;) {
    const record = await eraseBite(database, biteEpisodes)
    if (record === null) return records
    records.push(record)
  }
}
