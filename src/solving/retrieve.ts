/** @file Episodes near the query. Memory helps when it is there; it never fails a request. */

import { type WeighedNeighbour, weighNeighbours } from '#algorithms'
import { coerceError } from '#errors'
import type { Run } from './run.ts'
import type { Solution } from './types.ts'
import { unlessAborted } from './unless-aborted.ts'

/** The weighed neighbours, most similar first; none, and `degraded: retrieval`, when the store fails. */
export async function retrieve(
  run: Run,
  embedding: Float32Array | null,
): Promise<readonly WeighedNeighbour[]> {
  const { request, settings, engine, episodes } = run
  const { retrieval } = settings
  if (retrieval === null || episodes === null || embedding === null) return []
  try {
    // The time budget holds whatever the database does.
    const found = await run.meter.time('retrieveMs', () =>
      unlessAborted(run.signal, () =>
        episodes.nearest({
          tenantId: request.tenantId,
          fingerprint: engine.model.fingerprint,
          embedding,
          topK: retrieval.topK,
          minSimilarity: retrieval.minSimilarity,
        }),
      ),
    )
    return weighNeighbours(found ?? [], retrieval)
  } catch (error) {
    run.logger.warn({ err: coerceError(error) }, 'memory is not there: solving without retrieval')
    run.degraded.add('retrieval')
    return []
  }
}

export function describeRetrieved(neighbours: readonly WeighedNeighbour[]): Solution['retrieved'] {
  return neighbours.map(({ neighbour, weight }) => ({
    episodeId: neighbour.episodeId,
    similarity: neighbour.similarity,
    weight,
  }))
}
