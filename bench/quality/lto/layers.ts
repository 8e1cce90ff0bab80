/** @file AUC of reward models that see only the first layers of an answer's states, by number of layers. */

import type { Plot } from '#evaluation'
import type { GraphRunner } from '#ports'
import { printTable } from '../../report/table.ts'
import { aucOn, cutThought, type Example, trainOn } from './training.ts'

export interface LayersOptions {
  readonly taught: readonly Example[]
  readonly heldOut: readonly Example[]
  readonly seed: number
}

export interface LayerPrefix {
  /** Last layer whose state the model sees; 0 = embeddings. */
  readonly layer: number
  readonly auc: number
  readonly low: number | null
  readonly high: number | null
  /** AUC of the linear probe on questions held out of its training. */
  readonly linearAuc: number
}

export async function measureLayers(
  runner: GraphRunner,
  { taught, heldOut, seed }: LayersOptions,
): Promise<readonly LayerPrefix[]> {
  const prefixes: LayerPrefix[] = []
  for (let states = 1; states <= taught[0]!.thought.layers; states++) {
    const cut = (examples: readonly Example[]) =>
      examples.map((example) => ({ ...example, thought: cutThought(example.thought, states) }))
    const trained = await trainOn(runner, cut(taught), seed)
    if (typeof trained === 'string') throw new Error(`layers: expected a trained model, got ${trained}`)
    const { value, low, high } = await aucOn(trained, cut(heldOut))
    await trained.close()
    prefixes.push({
      layer: states - 1,
      auc: value,
      low: low ?? null,
      high: high ?? null,
      linearAuc: trained.linearAuc,
    })
  }
  printTable(
    'AUC by the first states of the thought',
    ['states up to layer', 'LRM, held-out problems', 'low', 'high', 'linear probe, held-out questions'],
    prefixes.map((each) => [each.layer, each.auc, each.low ?? '-', each.high ?? '-', each.linearAuc]),
  )
  return prefixes
}

export function plotLayers(prefixes: readonly LayerPrefix[]): Plot {
  return {
    title: 'AUC by layer prefix',
    x: { label: 'states up to layer' },
    y: { label: 'AUC' },
    legend: { x: 0.5, y: 0.7 },
    series: [
      { name: 'LRM', points: prefixes.map(({ layer, auc }) => [layer, auc]) },
      { name: 'linear probe', points: prefixes.map(({ layer, linearAuc }) => [layer, linearAuc]) },
    ],
  }
}
