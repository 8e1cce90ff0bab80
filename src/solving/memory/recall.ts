/** @file The neighbours of any question, as a request would retrieve them. */

import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import type { Recalled, RecallRequest, SolveOptions } from '../contract.ts'
import { type createQuestionSpan, writePrompt } from '../prompt.ts'
import { embedQuestion } from './memory.ts'

export interface RecallDeps {
  readonly engine: Engine
  /** null: there are no neighbours. */
  readonly episodes: Pick<EpisodeStore, 'nearest'> | null
  readonly questionSpan: ReturnType<typeof createQuestionSpan>
}

/** Embeds a question in a session of its own, and returns its neighbours (see `Solver.recall`). */
export async function recall(
  { engine, episodes, questionSpan }: RecallDeps,
  { tenantId, question, topK, minSimilarity }: RecallRequest,
  { signal, caller }: Pick<SolveOptions, 'signal' | 'caller'>,
): Promise<Recalled> {
  // As in `attempt`: a prompt takes longer to write than a refusal.
  engine.checkRoom(caller)
  const { tokens } = writePrompt({ question }, engine.codec, engine.model.profile)
  const session = await engine.open(tokens, { signal, ...(caller !== undefined && { caller }) })
  try {
    const embedding = await embedQuestion(engine, session, () => questionSpan(tokens))
    const query = { tenantId, fingerprint: engine.model.fingerprint, embedding, topK, minSimilarity }
    const neighbours = (await episodes?.nearest(query, signal)) ?? []
    return {
      neighbours: neighbours.map(({ episodeId, similarity }) => ({ episodeId, similarity })),
      promptTokens: tokens.length,
    }
  } finally {
    session.close()
  }
}
