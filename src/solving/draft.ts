/** @file The draft: one greedy chain of thought, with the latents that predicted its first tokens, decoded in one piece or two. */

import { type Evaluation, MAX_UPDATE_LENGTH, takeLatents, updateLength } from '#algorithms'
import { hasCode, ServiceError } from '#errors'
import type { Continuation, GenerationRow, Latents } from '#ports'
import { judgeAnswers } from './judge-answers.ts'
import { readAnswer } from './read-answer.ts'
import { allowance, type Outcome, type Run } from './run.ts'
import { asksForThoughts } from './thoughts.ts'
import type { Stopped } from './types.ts'

export interface Draft {
  readonly evaluation: Evaluation
  /** `[min(T, asked), D]` */
  readonly latents: Latents
}

/** A draft that nobody needed to the end: another answer passed first. */
export interface UnfinishedDraft {
  readonly evaluation: null
  readonly latents: Latents
}

/** @throws ServiceError ABORTED when the time is up before a token is there. */
export async function draftAnswer(run: Run): Promise<Draft> {
  return finishDraft(run, await beginDraft(run, Number.POSITIVE_INFINITY))
}

/**
 * Decodes at most `length` tokens of the draft, and no judge looks at them.
 *
 * @throws ServiceError ABORTED when the time is up before a token is there.
 */
export async function beginDraft(run: Run, length: number): Promise<Continuation> {
  const begun = await decodeDraft(run, {
    prefix: [],
    maxNewTokens: Math.min(length, allowance(run, 1, 0)),
    latents: latentsToAsk(run),
  })
  if (begun !== undefined && begun.tokens.length > 0) return begun
  throw new ServiceError('ABORTED', 'draft: expected at least one token, got none before the time was up')
}

/**
 * Decodes the rest of a draft, if there is one and a token left for it, and judges it. When the time is up before the rest is
 * there, what has begun is the draft: cut short, and unjudged.
 */
export async function finishDraft(run: Run, begun: Continuation): Promise<Draft> {
  const [evaluation] = await judgeAnswers(run, 'draft', [readAnswer(run, await wholeDraft(run, begun))])
  return { evaluation: evaluation!, latents: begun.latents }
}

async function wholeDraft(run: Run, begun: Continuation): Promise<Continuation> {
  const maxNewTokens = allowance(run, 1, begun.tokens.length)
  if (begun.finish !== 'length' || maxNewTokens === 0) return begun
  const cut: Continuation = { ...begun, finish: 'aborted' }
  if (run.signal.aborted) return cut
  try {
    // From the prompt, so that thought and cache cover the whole answer; what is there already is fed, not decoded again.
    return (await decodeDraft(run, { prefix: begun.tokens, maxNewTokens, latents: 0 })) ?? begun
  } catch (error) {
    if (hasCode(error, 'ABORTED') && run.signal.aborted) return cut
    throw error
  }
}

async function decodeDraft(
  run: Run,
  row: Pick<GenerationRow, 'prefix' | 'maxNewTokens' | 'latents'>,
): Promise<Continuation | undefined> {
  const [decoded] = await run.meter.time('draftMs', () =>
    run.session.generate([{ ...row, temperature: 0, seed: run.seed, thought: asksForThoughts(run) }]),
  )
  run.meter.generatedTokens += decoded?.generatedTokens ?? 0
  return decoded
}

/** T is not known yet: as many as the search, or an episode, may want of the longest answer. */
function latentsToAsk({ request, settings, answerTokens }: Run): number {
  const kept = Math.min(settings.latents, answerTokens)
  if (request.strategy !== 'latentseek') return kept
  return Math.max(kept, Math.min(updateLength(settings.rho, answerTokens), MAX_UPDATE_LENGTH))
}

export function announceDraft(run: Run, { evaluation }: Draft): void {
  const { answer, judgement } = evaluation
  run.emit({
    event: 'draft',
    data: { answer: answer.answer, reasoning: answer.text, reward: judgement.reward },
  })
}

/** What to say of a request that ends with its draft; `otherwise` when nothing cut it short. */
export function stoppedAtDraft(run: Run, { evaluation }: Draft, otherwise: Stopped): Stopped {
  if (run.signal.aborted || evaluation.answer.finish === 'aborted') return 'maxMs'
  return evaluation.answer.finish === 'length' ? 'maxNewTokens' : otherwise
}

/** The outcome of a request that ends with its draft. */
export function draftOutcome(
  run: Run,
  draft: Draft,
  rest: Pick<Outcome, 'stopped' | 'embedding'> & Partial<Pick<Outcome, 'retrieved'>>,
): Outcome {
  const { evaluation, latents } = draft
  const kept = takeLatents(latents, run.settings.latents)
  const { reward } = evaluation.judgement
  return {
    retrieved: [],
    ...rest,
    chosen: evaluation,
    base: evaluation,
    iterations: 0,
    evaluations: 0,
    rewardHistory: [reward],
    latents: kept.length === 0 ? null : { zBase: kept, zStar: kept },
    trajectory: kept.length === 0 ? [] : [{ step: 0, latents: kept, reward }],
  }
}
