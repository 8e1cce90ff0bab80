/** @file What an open database offers, whoever runs it. */

import type { Pool } from 'pg'

export interface Database {
  readonly kind: 'embedded' | 'server'
  readonly pool: Pool
  /** For clients that keep connections of their own (the queue). Holds a password: never log it. */
  readonly connectionString: string
  /** Ends the pool; the embedded database also stops and lets go of its folder. Idempotent. */
  close(): Promise<void>
}
