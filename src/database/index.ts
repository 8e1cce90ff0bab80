export { migrate } from './migrate.ts'
export { type Database, type OpenDatabaseOptions, openDatabase } from './open-database.ts'
export { query, transaction } from './query.ts'
