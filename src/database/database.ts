/** @file The interface of an open database, embedded or server. */

import type { Pool } from 'pg'

export interface Database {
  readonly kind: 'embedded' | 'server'
  readonly pool: Pool
  /** For clients with connections of their own (the queue). Contains a password: never log it. */
  readonly connectionString: string
  /** Ends the pool. The embedded database also stops and unlocks its directory. Idempotent. */
  close(): Promise<void>
}
