/** @file What a request leaves behind: one episode, committed before the answer is given. */

import { type Evaluation, fitFloat16, isAdmitted } from '#algorithms'
import type { NewEpisode } from '#episodes'
import { coerceError } from '#errors'
import type { Outcome, RunRecord } from './run.ts'
import { thoughtsToKeep } from './thoughts.ts'

interface Remembered {
  readonly id: string
  /** P(correct) of the answer by the active latent reward model; null: nobody knows. */
  readonly confidence: number | null
}

/**
 * Commits the episode of an outcome; an answer that was never judged teaches nothing and is not kept. One that the active
 * latent reward model does not believe (`admitConfidence`) is kept and steers nobody, whatever reward it claims.
 *
 * @returns the episode's id; null when nothing was to be kept, or the store failed (`degraded: learning`): the answer still comes.
 */
export async function remember(
  run: RunRecord,
  outcome: Outcome,
  remembered: Remembered,
): Promise<string | null> {
  if (run.episodes === null || !run.request.learn) return null
  const episode = episodeOf(run, outcome, remembered)
  if (episode === null) return null
  try {
    await run.episodes.add(episode)
    return remembered.id
  } catch (error) {
    run.logger.warn({ err: coerceError(error) }, 'memory is not there: this answer will not be remembered')
    run.degraded.add('learning')
    return null
  }
}

function episodeOf(run: RunRecord, outcome: Outcome, { id, confidence }: Remembered): NewEpisode | null {
  const { request, engine, answerFormat, candidates, settings } = run
  const { chosen, base, embedding } = outcome
  if (chosen === null || embedding === null) return null
  if (!candidates.some(({ evaluation }) => evaluation === chosen)) return null
  const isAdmissible = ({ answer, judgement }: Evaluation) =>
    answer.answer !== null && isAdmitted(judgement, settings.admitReward)
  const admitted = isAdmissible(chosen) && (confidence ?? 1) >= settings.admitConfidence
  const thoughts = thoughtsToKeep(candidates, chosen, settings.thoughts)
  return {
    id,
    tenantId: request.tenantId,
    fingerprint: engine.model.fingerprint,
    modelId: engine.model.id,
    strategy: request.strategy,
    question: request.question,
    reference: request.reference === undefined ? null : answerFormat.normalise(request.reference),
    embedding,
    answer: chosen.answer.answer,
    reasoning: chosen.answer.text,
    reward: chosen.judgement.reward,
    baseReward: base?.judgement.reward ?? null,
    iterations: outcome.iterations,
    evaluations: outcome.evaluations,
    generatedTokens: run.meter.generatedTokens,
    stopped: outcome.stopped,
    seed: run.seed,
    admitted,
    candidates: candidates.map((candidate) => {
      const { kind, evaluation } = candidate
      const { answer, judgement } = evaluation
      return {
        kind,
        tokens: answer.tokens,
        text: answer.text,
        answer: answer.answer,
        reward: judgement.reward,
        rewardTerms: judgement.terms,
        chosen: evaluation === chosen,
        admissible: isAdmissible(evaluation),
        thought: thoughts.get(candidate) ?? null,
      }
    }),
    latents: admitted ? storable(outcome.latents) : null,
  }
}

/**
 * The store keeps half precision; an infinite shift would carry every later answer with it. z* is z_base, or was looked at
 * where it was made.
 */
function storable(latents: Outcome['latents']): Outcome['latents'] {
  return latents !== null && fitFloat16(latents.zBase) ? latents : null
}
