/** @file Decoding with an upper bound on the tokens of a thought. */

import { deriveSeed } from '#algorithms'
import type { PromptCodec } from '#engine'
import { hasCode } from '#errors'
import type { Continuation, GenerationRow, LatentSession } from '#ports'
import { joinSignals } from './signals.ts'

export interface ThoughtBound {
  readonly codec: Pick<PromptCodec, 'decode' | 'splitThought' | 'thoughtEnd'>
  /** Upper bound on the tokens of a thought; infinite: none. */
  readonly thoughtTokens: number
  /** Fires when the time is up: then a thought stays as it is, and its text has no answer. */
  readonly signal: AbortSignal
}

/**
 * Decodes rows as `session.generate` does. A row that is still inside a thought after `thoughtTokens` tokens
 * gets the closing tag, and decodes its answer with the rest of its tokens.
 *
 * @returns continuations in the order of `rows`; the latents are those of the first tokens
 */
export async function generateBounded(
  session: Pick<LatentSession, 'generate'>,
  rows: readonly GenerationRow[],
  { codec, thoughtTokens, signal }: ThoughtBound,
): Promise<readonly Continuation[]> {
  const { thoughtEnd } = codec
  if (thoughtEnd === null || !Number.isFinite(thoughtTokens)) return session.generate(rows)
  const begun = await session.generate(
    rows.map((row) => ({ ...row, maxNewTokens: Math.min(row.maxNewTokens, boundOf(row, thoughtTokens)) })),
  )
  const restOf = (row: GenerationRow, { tokens, finish, generatedTokens }: Continuation) => {
    if (finish !== 'length') return null
    const isThinking = codec.splitThought(codec.decode(tokens)).final === null
    const prefix = isThinking ? [...tokens, ...thoughtEnd] : tokens
    const maxNewTokens = row.maxNewTokens - generatedTokens - (prefix.length - tokens.length)
    return maxNewTokens > 0
      ? { ...row, prefix, maxNewTokens, latents: 0, seed: deriveSeed(row.seed, 1) }
      : null
  }
  const rests = begun.map((continuation, index) => restOf(rows[index]!, continuation))
  const open = rests.filter((rest) => rest !== null)
  if (open.length === 0 || signal.aborted) return begun
  for (const [index, rest] of rests.entries()) {
    if (rest !== null) rest.onTokens?.(rest.prefix.slice(begun[index]!.tokens.length))
  }
  const ended = new Map<GenerationRow, Continuation>()
  try {
    for (const [index, continuation] of (await session.generate(open)).entries()) {
      ended.set(open[index]!, continuation)
    }
  } catch (error) {
    if (hasCode(error, 'ABORTED') && signal.aborted) return begun
    throw error
  }
  return begun.map((first, index) => {
    const rest = rests[index]
    const last = rest && ended.get(rest)
    if (!last) return first
    const { latents, generatedTokens } = first
    return {
      ...last,
      latents,
      signals: joinSignals(first.signals, last.signals),
      generatedTokens: generatedTokens + last.generatedTokens,
    }
  })
}

/** A prefix may already be longer than the bound. */
function boundOf({ prefix }: GenerationRow, thoughtTokens: number): number {
  return Math.max(1, thoughtTokens - prefix.length)
}
