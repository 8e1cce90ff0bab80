/** @file Episodes near the query. Memory helps when it is there; it never fails a request. */

import { type WeighedNeighbour, weighNeighbours } from '#algorithms'
import { coerceError } from '#errors'
import type { Run } from './run.ts'
import type { Solution } from './types.ts'

/** The weighed neighbours, most similar first; none, and `degraded: retrieval`, when the store fails. */
export async function retrieve(
  run: Run,
  embedding: Float32Array | null,
): Promise<readonly WeighedNeighbour[]> {
  const { request, settings, engine, episodes } = run
  const { retrieval } = settings
  if (retrieval === null || episodes === null || embedding === null) return []
  try {
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

/** The time budget holds whatever the database does. */
async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
  if (signal.aborted) return null
  const { promise, resolve } = Promise.withResolvers<null>()
  const give = () => resolve(null)
  signal.addEventListener('abort', give, { once: true })
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', give)
  }
}

export function describeRetrieved(neighbours: readonly WeighedNeighbour[]): Solution['retrieved'] {
  return neighbours.map(({ neighbour, weight }) => ({
    episodeId: neighbour.episodeId,
    similarity: neighbour.similarity,
    weight,
  }))
}
