/**
 * @file Feeds recorded answers through the model again, for what was not stored of them: the states of their
 * tokens, and their sums under given maps. Nothing is decoded.
 */

import { unpackLatents } from '#algorithms'
import type { Engine } from '#engine'
import { hasCode } from '#errors'
import type { LatentThought, PackedRows, TokenMaps } from '#ports'
import { writePrompt } from '#solving'
import { inBackground } from './open-replay-engine.ts'

/** Upper bound on the tokens of the answers that one training, or one trial, feeds again. */
export const MAX_FED_TOKENS = 100_000

/** Number of questions fed at once. */
const CONCURRENCY = 4

export interface FedAnswer {
  readonly question: string
  /** Tokens of the answer. */
  readonly tokens: readonly number[]
  /** States of its last token when it was decoded. */
  readonly last: PackedRows
}

/**
 * Upper bound on the relative distance of the states of the last token from those that were stored. An int4 model of
 * half a billion weights differed by .02 at most in other batches, and by .08 to .18 after another prompt.
 */
const MAX_DISTANCE = 0.05

export interface FeedOptions {
  /** Upper bound on the positions of an answer whose states are returned, see `GenerationRow`. */
  readonly tokenStates?: number
  readonly tokenMaps?: TokenMaps
  readonly signal: AbortSignal
}

/**
 * Returns the answers to feed: whole questions in the given order, as long as their tokens are at most `maxTokens`
 * together. A question whose own answers are longer is passed over, so that it does not keep all others out.
 */
export function answersWithin<Answer extends FedAnswer>(
  answers: readonly Answer[],
  maxTokens = MAX_FED_TOKENS,
): readonly Answer[] {
  const byQuestion = Map.groupBy(answers, ({ question }) => question)
  const kept: Answer[] = []
  let total = 0
  for (const own of byQuestion.values()) {
    const size = own.reduce((sum, { tokens }) => sum + tokens.length, 0)
    if (size > maxTokens) continue
    if (total + size > maxTokens) break
    total += size
    kept.push(...own)
  }
  return kept
}

/**
 * Feeds answers at background priority, those of one question on one prompt, and calls `take` with the thought of
 * each. Leaves out answers that do not fit the model or its memory, and those whose last token had other states when it
 * was decoded: they were given to another prompt (a conversation, of which the question alone is no prompt).
 *
 * @throws ServiceError ABORTED when the signal fires; ENGINE_CRASHED, ENGINE_UNAVAILABLE
 */
export async function feedAnswers<Answer extends FedAnswer>(
  engine: Engine,
  answers: readonly Answer[],
  { tokenStates = 0, signal, tokenMaps }: FeedOptions,
  take: (answer: Answer, thought: LatentThought) => Promise<void>,
): Promise<void> {
  const background = inBackground(engine)
  const questions = Map.groupBy(answers, ({ question }) => question).entries()
  // The lanes share one iterator: each takes the next question when it is done with its last.
  const lane = async () => {
    for (const [question, own] of questions) {
      signal.throwIfAborted()
      const thoughts = await feedQuestion(question, own)
      for (const [index, answer] of own.entries()) {
        const thought = thoughts[index] ?? null
        if (thought !== null && isNear(thought, answer.last)) await take(answer, thought)
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, lane))

  async function feedQuestion(question: string, own: readonly Answer[]) {
    try {
      const session = await background.open(
        writePrompt({ question }, engine.codec, engine.model.profile).tokens,
        {
          signal,
          ...(tokenMaps && { tokenMaps }),
        },
      )
      try {
        const rows = own.map(({ tokens }) => ({ ...FED, prefix: tokens, tokenStates }))
        return (await session.generate(rows)).map(({ thought }) => thought)
      } finally {
        session.close()
      }
    } catch (error) {
      if (hasCode(error, 'PROMPT_TOO_LONG') || hasCode(error, 'MEMORY_EXCEEDED')) return []
      throw error
    }
  }
}

function isNear({ last }: LatentThought, stored: PackedRows): boolean {
  const expected = unpackLatents(stored).data
  if (last === undefined || last.length !== expected.length) return false
  let [distance, norm] = [0, 0]
  for (const [index, value] of last.entries()) {
    const before = expected[index] ?? 0
    distance += (value - before) ** 2
    norm += before ** 2
  }
  return distance <= MAX_DISTANCE ** 2 * norm
}

/** Row that decodes nothing. */
const FED = { temperature: 0, seed: 0, maxNewTokens: 0, latents: 0, thought: true } as const
