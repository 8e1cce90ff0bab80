/** @file Metrics of trained models: the versions in use in this process. */

import { Gauge, type Registry } from 'prom-client'
import type { ArtifactWatcher } from '#serving'

/** Registers metrics that read the status of the watcher at every scrape. */
export function registerTrainedModelMetrics(
  registry: Registry,
  trainedModels: Pick<ArtifactWatcher, 'status' | 'isFrozen'>,
): void {
  new Gauge({
    name: 'circadian:artifact_info',
    help: 'Always 1; the labels name the version of each kind in use, and the form of a reward model; `none` without.',
    labelNames: ['kind', 'version', 'form'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { kind, serving, form } of trainedModels.status())
        this.set({ kind, version: serving ?? 'none', form: form ?? 'none' }, 1)
    },
  })
  new Gauge({
    name: 'circadian:artifact_refused',
    help: '1 while the active version is damaged or does not fit, so that another version is in use.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      for (const { kind, refused } of trainedModels.status()) this.set({ kind }, refused === null ? 0 : 1)
    },
  })
  new Gauge({
    name: 'circadian:frozen',
    help: '1 while learning is frozen, as this process has read it.',
    registers: [registry],
    collect() {
      this.set(trainedModels.isFrozen() ? 1 : 0)
    },
  })
}
