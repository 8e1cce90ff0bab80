/** @file Finds out where a step graph takes the positions of tokens from, and thus which rows may share a run. */

import { allGraphs, type Graph, loadTensor, producers, reads } from '#onnx'
import { constantsOf } from './lm-head.ts'

/**
 * Permitted padding of the rows of one batch.
 *
 * - `any`: the mask decides; left padding and holes are allowed.
 * - `right` (GroupQueryAttention reads only the length of each row from the mask): the cached positions of a
 *   row of length P_i are [0, P_i), later positions are never read, and the next token is cached at P_i.
 *   Several tokens may be fed to several rows only while no row has a past.
 * - `equal`: positions are places in the caches, so padding would shift them. Rows share a run only with equal
 *   pasts and equal inputs.
 */
export type Padding = 'any' | 'right' | 'equal'

/**
 * Returns the permitted padding. A graph without `position_ids` and without GroupQueryAttention counts
 * positions in the mask (CumSum, as ALiBi of Bloom and Falcon does), or takes the length of the caches
 * (Gemma, MPT). A bound on the width counts padding, so it permits none that can be avoided.
 *
 * @param maxWidth from `findMaxWidth`
 */
export function paddingOf(graph: Graph, maxWidth: number | null): Padding {
  const isFused = allGraphs(graph).some(({ nodes }) =>
    nodes.some(({ opType }) => opType === 'GroupQueryAttention'),
  )
  if (isFused) return 'right'
  if (maxWidth !== null) return 'equal'
  if (graph.inputs.some(({ name }) => name === 'position_ids')) return 'any'
  const computedFrom = createOrigins(graph)
  const countsMask = graph.nodes.some(
    ({ opType, inputs }) => opType === 'CumSum' && computedFrom(inputs[0]!).has('attention_mask'),
  )
  return countsMask ? 'any' : 'equal'
}

/**
 * Returns the greatest width of the mask up to which an `If` on that width takes one side: exports of models
 * with long-context rope (Phi-3 128k by onnxruntime-genai) choose the factors of all rows by it. Null without
 * such an `If`.
 */
export function findMaxWidth(graph: Graph): number | null {
  const choices = graph.nodes.filter(({ opType }) => opType === 'If')
  if (choices.length === 0) return null
  const byOutput = producers(graph)
  const constants = constantsOf(graph)
  const computedFrom = createOrigins(graph)
  const bounds = choices.flatMap(({ inputs }) => {
    const test = byOutput.get(inputs[0]!)
    if (test?.opType !== 'Greater' && test?.opType !== 'GreaterOrEqual') return []
    const limit = constants.get(test.inputs[1]!)
    const origins = computedFrom(test.inputs[0]!)
    if (!limit || !(origins.has('attention_mask') || origins.has('position_ids'))) return []
    const width = Number(loadTensor(limit).data[0]) - (test.opType === 'Greater' ? 0 : 1)
    // Exporters also test for empty and single axes; those sides compute the same.
    return width > 1 ? [width] : []
  })
  return bounds.length === 0 ? null : Math.min(...bounds)
}

/** Returns a function that lists the values without a producer from which a value is computed. */
function createOrigins(graph: Graph): (name: string) => ReadonlySet<string> {
  const byOutput = producers(graph)
  return (name) => {
    const seen = new Set<string>()
    const origins = new Set<string>()
    const waiting = [name]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next)) continue
      seen.add(next)
      const node = byOutput.get(next)
      if (node) waiting.push(...reads(node))
      else origins.add(next)
    }
    return origins
  }
}
