/** @file Vacuum of the embedded database: it has one process, and so no autovacuum. */

import type { Database } from './database.ts'
import { query } from './query.ts'

/** The one backend writes its counts of rows once a second; with this statement, at once. */
const COUNT_NOW = 'select pg_stat_force_next_flush()'

/**
 * Tables with many dead rows, or whose statistics are old: the rule of autovacuum with a quarter of its default share
 * of dead rows, because the database answers nothing else during a vacuum, and a small one is short.
 */
const DUE = `
  select format('%I.%I', schemaname, relname) as name from pg_stat_user_tables
  where n_dead_tup > 50 + 0.05 * n_live_tup or n_mod_since_analyze > 50 + 0.1 * n_live_tup
  order by schemaname, relname`

/**
 * Frees the space of deleted and replaced rows for new ones, and updates the statistics of the planner, in the tables
 * where it is due. Does nothing on a server, which has autovacuum. @returns the number of tables
 */
export async function vacuumEmbedded(database: Pick<Database, 'pool' | 'kind'>): Promise<number> {
  if (database.kind === 'server') return 0
  await query(database, 'count dead rows', COUNT_NOW)
  const { rows } = await query<{ name: string }>(database, 'find tables to vacuum', DUE)
  for (const { name } of rows) await query(database, 'vacuum', `vacuum (analyze) ${name}`)
  return rows.length
}
