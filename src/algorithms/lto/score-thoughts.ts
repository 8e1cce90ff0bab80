/** @file Scores many thoughts with a loaded reward model, in batches. */

import type { LoadedGraph } from '#ports'
import { createTensor, type Tensor } from '#tensor'

/**
 * Upper bound on the thoughts of one run, which bounds memory and the time that other work waits for the
 * engine process.
 */
const MAX_BATCH_ROWS = 512

/**
 * Returns one number per thought, in order.
 *
 * @param thoughts [N, L + 1, D]
 */
export async function scoreThoughts(
  graph: LoadedGraph,
  thoughts: Tensor<'float32'>,
  output: 'logit' | 'probability',
): Promise<readonly number[]> {
  const [count, layers, width] = thoughts.shape as readonly [number, number, number]
  const scores: number[] = []
  for (let first = 0; first < count; first += MAX_BATCH_ROWS) {
    const rows = Math.min(MAX_BATCH_ROWS, count - first)
    const data = thoughts.data.subarray(first * layers * width, (first + rows) * layers * width)
    const batch = createTensor('float32', [rows, layers, width], data)
    const { [output]: scored } = await graph.run({ thoughts: batch }, [output])
    scores.push(...Array.from(scored!.data as Float32Array))
  }
  return scores
}
