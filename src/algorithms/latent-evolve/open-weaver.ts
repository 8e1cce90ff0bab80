/** @file A weaver ready to use: loaded from a trained artifact, or the identity. */

import { ServiceError } from '#errors'
import type { GraphRunner, Weaver, WeaverRow } from '#ports'
import { loadVerified } from '../training/load-verified.ts'
import { weave } from './weave.ts'

/** Weaver that changes nothing: used until a consolidation has trained one. */
export const identityWeaver: Weaver = {
  version: null,
  apply: async (rows) => rows.map(({ zBase }) => zBase),
}

export interface OpenWeaver extends Weaver {
  readonly version: string
  /** Idempotent. */
  close(): Promise<void>
}

export interface WeaverIdentity {
  readonly version: string
  /** S_max and D that it was trained on. */
  readonly latents: number
  readonly width: number
}

/**
 * Loads the file that training made, and weaves one row with it before anybody relies on it.
 *
 * Its `apply` takes latents of any length: positions beyond S_max stay as they are. It refuses another width with SHAPE_MISMATCH
 * and ends in ARTIFACT_INVALID when the weaver answers with something that is no number.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or no weaver for latents of this shape. What the engine process
 *   does wrong (ENGINE_CRASHED, ENGINE_UNAVAILABLE) passes as it is.
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
