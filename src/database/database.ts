/** @file The interface of an open database, embedded or server. */

import type { Pool } from 'pg'
import type { CircuitBreaker, DatabaseState } from './circuit-breaker.ts'
import type { TenantWall } from './tenant.ts'

export interface Database {
  readonly kind: 'embedded' | 'server'
  readonly pool: Pool
  /** Refuses statements while a server is known to be unavailable. The embedded database has none. */
  readonly breaker?: CircuitBreaker
  /** Row-level security of callers. The embedded database has none. */
  readonly wall?: TenantWall
  /** For clients with connections of their own (the queue). Contains a password: never log it. */
  readonly connectionString: string
  /** State as far as known, without asking the database. */
  state(): DatabaseState
  /** Asks the database whether it answers and accepts writes. @throws ServiceError STORE_UNAVAILABLE */
  check(): Promise<DatabaseState>
  /** Ends the pool. The embedded database also stops and unlocks its directory. Idempotent. */
  close(): Promise<void>
}
