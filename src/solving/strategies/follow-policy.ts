/** @file What `auto` does after a draft under a measured policy, of the fused judge or of the model profile (`choosePolicy`). */

import { bandOf, type Evaluation, isSettled, type Judgement, roundsOf } from '#algorithms'
import { hasCode } from '#errors'
import type { Policy, PolicyBand } from '#ports'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'
import type { Settings } from '../settings.ts'
import { chooseBest } from './best-of-n.ts'
import { forkFrom } from './fork.ts'
import { draftOutcome } from './greedy.ts'
import { elect, sampleOutcome } from './majority.ts'

export interface PolicyStep extends Pick<Policy, 'signal'> {
  readonly band: PolicyBand
  /** P(correct) of the answer by the signal of the policy. */
  readonly confidence: number
}

/**
 * The step that a policy takes after an answer; null without a policy, or where its signal is unknown. After a refuted answer,
 * whose P(correct) says nothing, the next lower band that does not stop decides, else the next higher one; null without such a
 * band.
 */
export function policyStep({ policy }: Settings, judgement: Judgement): PolicyStep | null {
  if (policy === null) return null
  const { signal, bands } = policy
  const confidence = confidenceBy(signal, judgement)
  if (confidence === null) return null
  if (judgement.standing === undefined) return { signal, band: bandOf(bands, confidence), confidence }
  const goingOn = bands.filter(({ strategy }) => strategy !== 'greedy')
  return goingOn.length === 0 ? null : { signal, band: bandOf(goingOn, confidence), confidence }
}

/** P(correct) of an answer by a signal; null: it has none. */
function confidenceBy(signal: Policy['signal'], { fused, correctness }: Judgement): number | null {
  return signal === 'judge' ? (fused ?? null) : correctness
}

/**
 * Runs the step's strategy beside the draft. Not for `latentseek`, the search of `auto` itself. The draft is one of the candidates
 * that a vote or a selector chooses among: it has been paid for, and greedy answers are right more often than samples. It is
 * returned, too, where nothing is left to decode samples, or the time is up before they are judged.
 */
export async function followPolicy(context: SolveContext, draft: Draft, step: PolicyStep): Promise<Outcome> {
  const { strategy } = step.band
  if (strategy === 'fork') {
    const settings = { ...context.settings, samples: samplesOf(context, step) }
    return { ...(await forkFrom({ ...context, settings }, draft)), policy: step }
  }
  const kept = { ...draftOutcome(context, draft), policy: step }
  if (strategy === 'greedy') return { ...kept, stopped: 'reward' }
  if (draft.evaluation.answer.finish === 'aborted') return kept
  const { chosen, stopped } = await sampleBeside(context, draft.evaluation, step)
  const outcome = sampleOutcome(context, chosen)
  const beside = { policy: step, stopped: stopped ?? outcome.stopped }
  if (chosen.answer !== draft.evaluation.answer) return { ...outcome, ...beside, base: draft.evaluation }
  return { ...kept, ...beside, chosen, base: chosen, evaluations: outcome.evaluations }
}

function samplesOf({ settings }: SolveContext, { band }: PolicyStep): number {
  return band.samples ?? settings.samples
}

/**
 * Samples beside the draft, in rounds where the band has thresholds, and chooses after each round.
 *
 * @returns what was chosen last, and which limit ended the rounds; null: none
 */
async function sampleBeside(
  context: SolveContext,
  draft: Evaluation,
  step: PolicyStep,
): Promise<{ readonly chosen: Evaluation; readonly stopped: Stopped | null }> {
  const { answers, settings } = context
  const { strategy, selector = settings.selector } = step.band
  let candidates: readonly Evaluation[] = [draft]
  let chosen = draft
  let sampled = 0
  for (const count of roundsOf({ ...step.band, samples: samplesOf(context, step) })) {
    if (answers.isExhausted(1)) return { chosen, stopped: 'maxNewTokens' }
    const round = await unlessTimeIsUp(context.signal, async () => {
      const all = await answers.sample(count - sampled, candidates)
      return {
        all,
        best: strategy === 'majority' ? await elect(context, all) : await chooseBest(context, all, selector),
      }
    })
    if (round === null) return { chosen, stopped: 'maxMs' }
    candidates = round.all
    chosen = round.best
    sampled = count
    // The P(correct) of a refuted answer says nothing.
    const isRefuted = chosen.judgement.standing !== undefined
    if (!isRefuted && isSettled(step.band, confidenceBy(step.signal, chosen.judgement))) break
  }
  return { chosen, stopped: answers.isExhausted(1) ? 'maxNewTokens' : null }
}

/** Returns null when the time is up: what was sampled by then is not judged. */
async function unlessTimeIsUp<Result>(
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result | null> {
  try {
    const result = await work()
    return signal.aborted ? null : result
  } catch (error) {
    if (hasCode(error, 'ABORTED') && signal.aborted) return null
    throw error
  }
}
