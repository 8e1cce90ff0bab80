/** @file A connection pool in which tenants take turns, so that the many statements of one do not hold up another one's. */

import pg from 'pg'
import { currentTenant } from './tenant.ts'

interface Waiting {
  enter(): void
}

/**
 * Pool whose callers wait in lines, one for each tenant of `asTenant` and one for all other work; the lines take turns
 * at the connections that become free. Within a line, the first comes first.
 */
export class FairPool extends pg.Pool {
  /** Connections that neither the pool's callers nor its own queue has. */
  #free: number
  /** The line whose turn it is comes first. */
  readonly #lines = new Map<string, Waiting[]>()
  readonly #timeoutMs: number

  /** `connectionTimeoutMillis` bounds the wait in the line, and then the wait for a new connection. */
  constructor(settings: pg.PoolConfig & { readonly max: number; readonly connectionTimeoutMillis: number }) {
    super(settings)
    this.#free = settings.max
    this.#timeoutMs = settings.connectionTimeoutMillis
    const waitingCount = () => this.#lines.values().reduce((sum, line) => sum + line.length, 0)
    // The types call it a property, which no getter may override.
    Object.defineProperty(this, 'waitingCount', { get: waitingCount })
  }

  override connect(): Promise<pg.PoolClient>
  override connect(
    callback: (
      error: Error | undefined,
      client: pg.PoolClient | undefined,
      done: (release?: unknown) => void,
    ) => void,
  ): void
  override connect(
    callback?: (
      error: Error | undefined,
      client: pg.PoolClient | undefined,
      done: (release?: unknown) => void,
    ) => void,
  ): Promise<pg.PoolClient> | undefined {
    const connecting = this.#connect()
    if (callback === undefined) return connecting
    connecting.then(
      (client) => callback(undefined, client, (release) => client.release(release as Error | undefined)),
      (error: Error) => callback(error, undefined, () => {}),
    )
    return undefined
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#free > 0) this.#free -= 1
    else await this.#waitInLine(currentTenant() ?? '')
    try {
      const client = await super.connect()
      const release = client.release
      client.release = (error) => {
        release(error)
        this.#leave()
      }
      return client
    } catch (thrown) {
      this.#leave()
      throw thrown
    }
  }

  #waitInLine(tenant: string): Promise<void> {
    const line = this.#lines.get(tenant) ?? []
    this.#lines.set(tenant, line)
    return new Promise((resolve, reject) => {
      const waiting = {
        enter() {
          clearTimeout(timer)
          resolve()
        },
      }
      line.push(waiting)
      const timer = setTimeout(() => {
        line.splice(line.indexOf(waiting), 1)
        if (line.length === 0) this.#lines.delete(tenant)
        // The words of the pool itself.
        reject(new Error('timeout exceeded when trying to connect'))
      }, this.#timeoutMs)
      timer.unref()
    })
  }

  /** Gives a place to the first of the line whose turn it is; that line is the last then. */
  #leave(): void {
    const [next] = this.#lines
    if (next === undefined) {
      this.#free += 1
      return
    }
    const [tenant, line] = next
    const first = line.shift()
    this.#lines.delete(tenant)
    if (line.length > 0) this.#lines.set(tenant, line)
    first?.enter()
  }
}
