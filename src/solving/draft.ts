/** @file The draft: one greedy chain of thought, with the latents that predicted its first tokens. */

import { type Evaluation, type Latents, MAX_UPDATE_LENGTH, takeLatents, updateLength } from '#algorithms'
import { ServiceError } from '#errors'
import { judgeAnswers } from './judge-answers.ts'
import { readAnswer } from './read-answer.ts'
import { allowance, type Outcome, type Run } from './run.ts'
import type { Stopped } from './types.ts'

export interface Draft {
  readonly evaluation: Evaluation
  /** `[min(T, asked), D]` */
  readonly latents: Latents
}

/** @throws ServiceError ABORTED when the time is up before a token is there. */
export async function draftAnswer(run: Run): Promise<Draft> {
  const [decoded] = await run.meter.time('draftMs', () =>
    run.session.generate([
      {
        prefix: [],
        temperature: 0,
        seed: run.seed,
        maxNewTokens: allowance(run, 1, 0),
        latents: latentsToAsk(run),
      },
    ]),
  )
  if (decoded === undefined || decoded.tokens.length === 0) {
    throw new ServiceError('ABORTED', 'draft: expected at least one token, got none before the time was up')
  }
  run.meter.generatedTokens += decoded.generatedTokens
  const [evaluation] = await judgeAnswers(run, 'draft', [readAnswer(run, decoded)])
  return { evaluation: evaluation!, latents: decoded.latents }
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
