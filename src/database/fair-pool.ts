/** @file A connection pool in which tenants take turns, and background work gives way to callers. */

import pg from 'pg'
import { isBackground } from './background.ts'
import { ConnectionUses, type EndedUse } from './connection-uses.ts'
import { currentTenant } from './tenant.ts'

/**
 * Pause of background work after its use of a connection, in lengths of that use, while callers wait: its share of one
 * connection is a fifth then.
 */
const BACKGROUND_PAUSES = 4
/** Bound on that pause, in ms, so that one long statement, such as a vacuum, does not keep the jobs waiting for a minute. */
const MAX_BACKGROUND_PAUSE_MS = 5_000
/** Background work waits this many times as long as a caller. */
const BACKGROUND_PATIENCE = 3

interface Waiting {
  enter(): void
}

export interface FairPoolSettings extends pg.PoolConfig {
  readonly max: number
  /** Bounds the wait in the line, and then the wait for a new connection, in ms. */
  readonly connectionTimeoutMillis: number
  /** Called after each use of a connection, with the number of those that wait for one. */
  readonly onUsed?: (use: EndedUse, waiting: number) => void
}

/**
 * Pool whose callers wait in lines, one for each tenant of `asTenant` and one for all other work; the lines take turns
 * at the connections that become free. Within a line, the first comes first. Work of `asBackground` waits in a line of
 * its own, which has its turn when no other line waits, or when background work has paused for four times as long as it
 * last used a connection.
 */
export class FairPool extends pg.Pool {
  /** Connections that neither the pool's callers nor its own queue has. */
  #free: number
  /** The line whose turn it is comes first. */
  readonly #lines = new Map<string, Waiting[]>()
  readonly #background: Waiting[] = []
  /** Time from which background work has a turn before callers. */
  #backgroundFrom = 0
  readonly #timeoutMs: number
  readonly #onUsed: FairPoolSettings['onUsed']
  readonly #uses: ConnectionUses

  constructor({ onUsed, ...settings }: FairPoolSettings) {
    super(settings)
    this.#free = settings.max
    this.#timeoutMs = settings.connectionTimeoutMillis
    this.#onUsed = onUsed
    this.#uses = new ConnectionUses(this.#timeoutMs)
    const waitingCount = () =>
      this.#lines.values().reduce((sum, line) => sum + line.length, this.#background.length)
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

  /** Returns what callers wait for: how many there are, and what took the most time of the connections lately. */
  describeUse(): string {
    const waiting = `connections: ${this.options.max}, waiting: ${this.waitingCount}`
    return `${waiting}, most time of the last ${this.#timeoutMs / 1_000} s: ${this.#uses.describe()}`
  }

  async #connect(): Promise<pg.PoolClient> {
    const inBackground = isBackground()
    if (this.#free > 0) this.#free -= 1
    else await (inBackground ? this.#waitInBackground() : this.#waitInTurn(currentTenant() ?? ''))
    try {
      const [client, end] = await this.#uses.watch(() => super.connect())
      const release = client.release
      client.release = (error) => {
        release(error)
        const use = end()
        if (inBackground) {
          const pauseMs = Math.min(BACKGROUND_PAUSES * use.ms, MAX_BACKGROUND_PAUSE_MS)
          this.#backgroundFrom = performance.now() + pauseMs
        }
        this.#onUsed?.(use, this.waitingCount)
        this.#leave()
      }
      return client
    } catch (thrown) {
      this.#leave()
      throw thrown
    }
  }

  #waitInBackground(): Promise<void> {
    return this.#waitIn(this.#background, BACKGROUND_PATIENCE * this.#timeoutMs)
  }

  async #waitInTurn(tenant: string): Promise<void> {
    const line = this.#lines.get(tenant) ?? []
    this.#lines.set(tenant, line)
    try {
      await this.#waitIn(line, this.#timeoutMs)
    } catch (thrown) {
      if (line.length === 0) this.#lines.delete(tenant)
      throw thrown
    }
  }

  /** @throws Error in the words of the pool itself */
  #waitIn(line: Waiting[], timeoutMs: number): Promise<void> {
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
        reject(new Error(`timeout exceeded when trying to connect (${this.describeUse()})`))
      }, timeoutMs)
      timer.unref()
    })
  }

  /** Gives a place to the next one that waits. */
  #leave(): void {
    const first = this.#takeBackground() ?? this.#takeTurn()
    if (first === undefined) this.#free += 1
    else first.enter()
  }

  #takeBackground(): Waiting | undefined {
    const isDue = this.#lines.size === 0 || performance.now() >= this.#backgroundFrom
    return isDue ? this.#background.shift() : undefined
  }

  /** Takes the first of the line whose turn it is; that line is the last then. */
  #takeTurn(): Waiting | undefined {
    const [next] = this.#lines
    if (next === undefined) return undefined
    const [tenant, line] = next
    const first = line.shift()
    this.#lines.delete(tenant)
    if (line.length > 0) this.#lines.set(tenant, line)
    return first
  }
}
