/** @file What the connections of a pool are used for: the log says with it what a refused caller waited for. */

import type pg from 'pg'

/** Operations that a description names: those that took the most time. */
const MAX_NAMED = 4

interface Use {
  operation: string
  readonly from: number
  /** null while the connection is in use. */
  to: number | null
}

export interface EndedUse {
  readonly operation: string
  readonly ms: number
}

const uses = new WeakMap<pg.PoolClient, Use>()

/** Names what a connection is used for until it is given back; without effect on one of another kind of pool. */
export function nameUse(client: pg.PoolClient, operation: string): void {
  const use = uses.get(client)
  if (use !== undefined) use.operation = operation
}

/** The uses of the connections of one pool in the last `windowMs`. */
export class ConnectionUses {
  readonly #windowMs: number
  readonly #running = new Set<Use>()
  readonly #ended: Use[] = []

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** Measures `connect` and then the use of its connection, until the returned function is called. */
  async watch(connect: () => Promise<pg.PoolClient>): Promise<[client: pg.PoolClient, end: () => EndedUse]> {
    const use: Use = { operation: 'connect', from: performance.now(), to: null }
    this.#running.add(use)
    try {
      const client = await connect()
      use.operation = 'statements without a name'
      uses.set(client, use)
      return [client, () => this.#end(use)]
    } catch (error) {
      this.#end(use)
      throw error
    }
  }

  /** Returns the operations that took the most time in the window, such as `map episodes 6.2 s, vacuum 2.8 s`. */
  describe(): string {
    const now = performance.now()
    const start = now - this.#windowMs
    const times = new Map<string, number>()
    for (const { operation, from, to } of [...this.#ended, ...this.#running]) {
      const ms = (to ?? now) - Math.max(from, start)
      if (ms > 0) times.set(operation, (times.get(operation) ?? 0) + ms)
    }
    return [...times]
      .sort(([, one], [, other]) => other - one)
      .slice(0, MAX_NAMED)
      .map(([operation, ms]) => `${operation} ${(ms / 1_000).toFixed(1)} s`)
      .join(', ')
  }

  #end(use: Use): EndedUse {
    const now = performance.now()
    use.to = now
    this.#running.delete(use)
    this.#ended.push(use)
    while ((this.#ended[0]?.to ?? now) < now - this.#windowMs) this.#ended.shift()
    return { operation: use.operation, ms: now - use.from }
  }
}
