/** @file Metrics of the services that this process depends on. */

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
