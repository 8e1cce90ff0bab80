/** @file Metrics of the services that this process depends on, and of its connections to the database. */

import { Gauge, type Registry } from 'prom-client'

/** Returns whether a dependency works, by its name, as far as known without asking it. */
export type Dependencies = Readonly<Record<string, () => boolean>>

/** Registers a metric that reads the states at every scrape. */
export function registerDependencyMetrics(registry: Registry, dependencies: Dependencies): void {
  new Gauge({
    name: 'circadian:dependency_up',
    help: '1 while the dependency works; 0 while it is unavailable, or a database refuses writes.',
    labelNames: ['name'],
    registers: [registry],
    collect() {
      for (const [name, isUp] of Object.entries(dependencies)) this.set({ name }, isUp() ? 1 : 0)
    },
  })
}

/** Counts of a connection pool, as `pg` keeps them. */
export interface PoolCounts {
  /** Open connections. */
  readonly totalCount: number
  /** Open connections without a statement. */
  readonly idleCount: number
  /** Callers that wait for a connection. */
  readonly waitingCount: number
}

/** Registers a metric that reads the pool at every scrape. */
export function registerPoolMetrics(registry: Registry, pool: PoolCounts): void {
  new Gauge({
    name: 'circadian:database_pool',
    help: 'Connections to the database that are in use or idle, and callers that are waiting for one.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      this.set({ state: 'in_use' }, pool.totalCount - pool.idleCount)
      this.set({ state: 'idle' }, pool.idleCount)
      this.set({ state: 'waiting' }, pool.waitingCount)
    },
  })
}
