/** @file Weavers ready to use: one loaded from trained bytes, and the identity. */

import { ServiceError } from '#errors'
import type { GraphRunner, Weaver, WeaverRow } from '#ports'
import { loadVerified } from '../training/load-verified.ts'
import { weave } from './weave.ts'

/** Weaver that changes nothing: used until a consolidation has trained one. */
export const identityWeaver: Weaver = {
  version: null,
  apply: async (rows) => rows.map(({ zBase }) => zBase),
}

/** Loaded weaver. */
export interface OpenWeaver extends Weaver {
  readonly version: string
  /** Unloads the graph. Idempotent. */
  close(): Promise<void>
}

/** Version of a weaver, and the sizes that it was trained on. */
interface WeaverIdentity {
  readonly version: string
  /** S_max: largest number of positions. */
  readonly latents: number
  /** D: width of latents and embeddings. */
  readonly width: number
}

/**
 * Loads the bytes that training produced, and weaves one row as a check.
 *
 * `apply` of the result takes latents of any length: positions beyond S_max stay unchanged. It throws
 * SHAPE_MISMATCH for another width, and ARTIFACT_INVALID when the weaver returns a number that is not
 * finite.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or are not a weaver for latents of this
 *   shape; ENGINE_CRASHED and ENGINE_UNAVAILABLE of the engine process, unchanged.
 */
export async function openWeaver(
  runner: GraphRunner,
  bytes: Uint8Array,
  { version, latents, width }: WeaverIdentity,
): Promise<OpenWeaver> {
  const ones = { data: new Float32Array(latents * width).fill(1), length: latents, width }
  const graph = await loadVerified(
    runner,
    bytes,
    (loaded) => weave(loaded, [{ embedding: new Float32Array(width).fill(1), zBase: ones }], latents),
    (cause) => {
      const expected = `a graph that weaves [N, ${latents}, ${width}]`
      const message = `weaver ${version}: expected ${expected}, got one that fails`
      return new ServiceError('ARTIFACT_INVALID', message, { cause })
    },
  )
  return {
    version,
    async apply(rows) {
      const odd = rows.find(({ zBase }) => zBase.width !== width)
      if (odd !== undefined) throw mismatch(version, width, odd)
      return weave(graph, rows, latents)
    },
    close: () => graph.close(),
  }
}

function mismatch(version: string, width: number, { zBase }: WeaverRow): ServiceError {
  return new ServiceError(
    'SHAPE_MISMATCH',
    `weaver ${version}: expected latents of width ${width}, got ${zBase.width}`,
  )
}
