/** @file What nights have taught, as metrics: which versions serve in this process. */

import { Gauge, type Registry } from 'prom-client'
import type { ArtifactWatcher } from '#serving'

/** Registers metrics that ask the watcher when they are read. */
export function registerTrainedModelMetrics(
  registry: Registry,
  trainedModels: Pick<ArtifactWatcher, 'status'>,
): void {
  new Gauge({
    name: 'circadian:artifact_info',
    help: 'Always 1; the labels say which version of each kind serves, `none` where nothing has been learned.',
    labelNames: ['kind', 'version'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { kind, serving } of trainedModels.status())
        this.set({ kind, version: serving ?? 'none' }, 1)
    },
  })
  new Gauge({
    name: 'circadian:artifact_refused',
    help: '1 while the active version is damaged or does not fit, so that another one serves.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      for (const { kind, refused } of trainedModels.status()) this.set({ kind }, refused === null ? 0 : 1)
    },
  })
}
