/** @file Applies a loaded weaver to many rows, in batches. */

import { ServiceError } from '#errors'
import type { Latents, LoadedGraph, WeaverRow } from '#ports'
import { createTensor } from '#tensor'
import { stackRows } from './weaver-examples.ts'

/**
 * Upper bound on the rows of one run, which bounds memory and the time that other work waits for the engine
 * process.
 */
const MAX_BATCH_ROWS = 256

/**
 * Returns z'_base of every row, in order, the shape of its z_base. Positions beyond the `latents` that the
 * weaver was trained on stay unchanged.
 *
 * @throws ServiceError SHAPE_MISMATCH when rows differ in width; ARTIFACT_INVALID when the weaver returns
 *   another shape or a number that is not finite.
 */
export async function weave(
  graph: LoadedGraph,
  rows: readonly WeaverRow[],
  latents: number,
): Promise<readonly Latents[]> {
  const woven: Latents[] = []
  for (let first = 0; first < rows.length; first += MAX_BATCH_ROWS) {
    woven.push(...(await weaveBatch(graph, rows.slice(first, first + MAX_BATCH_ROWS), latents)))
  }
  return woven
}

async function weaveBatch(
  graph: LoadedGraph,
  rows: readonly WeaverRow[],
  latents: number,
): Promise<readonly Latents[]> {
  const { width } = rows[0]!.zBase
  const odd = rows.find(({ embedding, zBase }) => zBase.width !== width || embedding.length !== width)
  if (odd !== undefined) {
    const got = odd.zBase.width === width ? odd.embedding.length : odd.zBase.width
    throw new ServiceError('SHAPE_MISMATCH', `weave: expected rows of width ${width}, got ${got}`)
  }
  const { embedding, zBase, mask } = stackRows(rows, latents, width)
  const { z } = await graph.run({ embedding, z_base: zBase, mask }, ['z'])
  const expected = [rows.length, latents, width]
  if (z.dtype !== 'float32' || z.shape.join() !== expected.join()) {
    throw new ServiceError(
      'ARTIFACT_INVALID',
      `weave: expected float32 [${expected}], got ${z.dtype} [${z.shape}]`,
    )
  }
  const moved = createTensor('float32', z.shape, z.data as Float32Array).data
  const wrong = moved.find((value) => !Number.isFinite(value))
  if (wrong !== undefined) {
    throw new ServiceError('ARTIFACT_INVALID', `weave: expected finite numbers, got ${wrong}`)
  }
  return rows.map((row, index) => {
    const data = row.zBase.data.slice()
    const known = Math.min(latents, row.zBase.length) * width
    data.set(moved.subarray(index * latents * width, index * latents * width + known))
    return { ...row.zBase, data }
  })
}
