/** @file The query embedding of a request that is remembered, or that remembers. */

import { queryEmbedding } from '#algorithms'
import type { Run } from './run.ts'

/** `[D]`, centred and normalised; null when neither an episode nor a retrieval needs it. */
export async function embedQuery(run: Run): Promise<Float32Array | null> {
  const { request, settings, engine, session } = run
  const retrieves = request.strategy === 'auto' && settings.retrieval !== null
  if (run.episodes === null || !(request.learn || retrieves)) return null
  const state = await run.meter.time('draftMs', () => session.embed())
  return queryEmbedding(state, engine.model.embeddingMean)
}
