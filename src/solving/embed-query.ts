/** @file The query embedding of a request that is remembered, or that remembers. */

import { queryEmbedding } from '#algorithms'
import type { Run } from './run.ts'

/** `[D]`, centred and normalised; null when no episode, retrieval or weaver needs it. */
export async function embedQuery(run: Run): Promise<Float32Array | null> {
  const { request, settings, engine, episodes, session, weaver } = run
  const isAuto = request.strategy === 'auto'
  const isKept = episodes !== null && request.learn
  const retrieves = episodes !== null && isAuto && settings.retrieval !== null
  const isWoven = isAuto && weaver.version !== null
  if (!isKept && !retrieves && !isWoven) return null
  const state = await run.meter.time('draftMs', () => session.embed())
  return queryEmbedding(state, engine.model.embeddingMean)
}
