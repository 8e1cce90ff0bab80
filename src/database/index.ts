export type { Database } from './database.ts'
export { migrate } from './migrate.ts'
export { type OpenDatabaseOptions, openDatabase } from './open-database.ts'
export { query, transaction } from './query.ts'
