/** @file The episode that a request leaves behind, committed before the answer is returned. */

import { type Evaluation, fitFloat16, isAdmitted, underProfile } from '#algorithms'
import type { Engine } from '#engine'
import { type EpisodeStore, type NewEpisode, NO_VERSION } from '#episodes'
import type { LatentThought } from '#ports'
import type { Tracer } from '#tracing'
import type { Attempt } from '../attempt.ts'
import type { Outcome } from '../context.ts'
import type { SolverLogger, StoreTimeouts } from '../contract.ts'
import type { AnswerFormat } from '../judging/answer-format.ts'
import { rememberedQuestion } from '../prompt.ts'
import { choosesByRewardModel, usesJudge } from '../settings.ts'
import { meanSignals } from '../signals.ts'
import type { JudgedCandidate } from '../solve-state.ts'
import { type StoreOutages, timeoutSignal } from './store-outages.ts'

/** Time that a commit has however little of the request's budget is left: enough for a healthy database. */
const MIN_COMMIT_MS = 250

export interface RememberDeps {
  readonly engine: Engine
  /** null: nothing is kept. */
  readonly episodes: EpisodeStore | null
  readonly answerFormat: AnswerFormat
  readonly logger: SolverLogger
  readonly tracer: Tracer
  /** Id of the request, for the job of the episode. */
  readonly requestId?: string | undefined
  readonly storeTimeouts: StoreTimeouts
  readonly storeOutages: StoreOutages
  /** Whether learning is frozen: then nothing is kept. */
  readonly isFrozen: () => boolean
}

interface RememberOptions {
  /** Id of the episode. */
  readonly id: string
  /** Time of the request so far, in ms. */
  readonly spentMs: number
}

/**
 * Commits the episode of an attempt. An answer that the time ran out on before it was judged, or was whole, is kept as a question
 * that was asked: without its thought, and never admitted. One that the active latent reward
 * model does not believe (`admitConfidence`), or that contradicts the reference of the request, is kept, but influences no
 * other request, whatever its reward. Stored rewards are under the profile's weights, so that those of different requests compare.
 *
 * @returns the episode's id; null when there is nothing to keep, or the store failed (`degraded: learning`): the answer is
 *   returned all the same.
 */
export async function remember(
  deps: RememberDeps,
  attempt: Attempt,
  { id, spentMs }: RememberOptions,
): Promise<string | null> {
  const { episodes, tracer, requestId } = deps
  if (episodes === null || !attempt.request.learn || deps.isFrozen()) return null
  const episode = episodeOf(deps, attempt, id)
  if (episode === null) return null
  const restMs = (attempt.settings.maxMs ?? Number.POSITIVE_INFINITY) - spentMs
  const timeoutMs = Math.max(MIN_COMMIT_MS, Math.min(restMs, deps.storeTimeouts.commitMs))
  try {
    // The job of the episode continues the trace.
    await tracer.trace('commit', {}, () =>
      episodes.add(
        {
          ...episode,
          traceparent: tracer.traceparent(),
          ...(requestId !== undefined && { requestId }),
        },
        timeoutSignal(timeoutMs),
      ),
    )
    return id
  } catch (error) {
    deps.storeOutages.warn(deps.logger, error, 'episode store unavailable: answering without an episode')
    attempt.state.degraded.add('learning')
    return null
  }
}

function episodeOf({ engine, answerFormat }: RememberDeps, attempt: Attempt, id: string): NewEpisode | null {
  const { request, settings, seed, state, embedding, outcome, confidence } = attempt
  const { chosen, base } = outcome
  const { candidates, meter } = state
  if (chosen === null || embedding === null) return null
  const isJudged = candidates.some(({ evaluation }) => evaluation === chosen)
  const unjudged: JudgedCandidate = { kind: chosen === base ? 'draft' : 'sample', evaluation: chosen }
  const meetsAdmission = (evaluation: Evaluation) =>
    evaluation.answer.answer !== null &&
    (isJudged || evaluation !== chosen) &&
    isAdmitted(evaluation.judgement, settings.admitReward)
  const reference = request.reference === undefined ? null : answerFormat.normalise(request.reference)
  const isContradicted = reference !== null && chosen.answer.answer !== reference
  const isBelieved = (confidence ?? 1) >= settings.admitConfidence
  const admitted = meetsAdmission(chosen) && isBelieved && !isContradicted
  const thoughts = thoughtsToKeep(candidates, chosen, settings.thoughts)
  return {
    id,
    tenantId: request.tenantId,
    fingerprint: engine.model.fingerprint,
    judgeFingerprint: engine.model.judgeFingerprint,
    answerRules: engine.model.answerRules,
    modelId: engine.model.id,
    strategy: request.strategy,
    question: rememberedQuestion(request),
    reference,
    embedding,
    answer: chosen.answer.answer,
    reasoning: answerFormat.split(chosen.answer.text).reasoning,
    reward: underProfile(chosen.judgement).reward,
    baseReward: base === null ? null : underProfile(base.judgement).reward,
    iterations: outcome.iterations,
    evaluations: outcome.evaluations,
    generatedTokens: meter.generatedTokens,
    stopped: outcome.stopped,
    seed,
    admitted,
    candidates: (isJudged ? candidates : [...candidates, unjudged]).map((candidate) => {
      const { kind, evaluation } = candidate
      const { answer, judgement } = evaluation
      return {
        kind,
        tokens: answer.tokens,
        text: answer.text,
        answer: answer.answer,
        reward: underProfile(judgement).reward,
        rewardTerms: judgement.terms,
        ...meanSignals(answer.signals),
        chosen: evaluation === chosen,
        meetsAdmission: meetsAdmission(evaluation),
        thought: thoughts.get(candidate) ?? null,
      }
    }),
    latents: admitted ? storable(outcome.latents) : null,
    ancestors: outcome.ancestors ?? [],
    ...influentialVersions(attempt),
  }
}

/**
 * The versions that could influence the answer. Only `auto` uses the weaver. The latent reward model chooses among the samples of
 * `lto`, `best-of-n` and `majority` where the request asks for it, and steers the search of the other strategies when the `lrm`
 * term has a weight; `greedy` has nothing to choose. Where a fused judge decides, its estimate is one of those that the judge weighs.
 * Its confidence and its vote on admission change no answer. A model that failed (`degraded`) has influenced none.
 */
function influentialVersions({
  request,
  settings,
  models,
  state: { degraded },
}: Attempt): Pick<NewEpisode, 'weaverVersion' | 'lrmVersion' | 'judgeVersion'> {
  const { strategy, weaver } = request
  const isWoven = strategy === 'auto' && weaver !== false
  const isJudged = usesJudge(request, settings)
  const judgeVersion = models.judge?.version ?? NO_VERSION
  const isRewarded =
    choosesByRewardModel(request, settings) ||
    (settings.weights.lrm > 0 && strategy !== 'greedy') ||
    (isJudged && judgeVersion !== NO_VERSION)
  // Without a reward model, `degraded` names it too.
  const lrmVersion = models.rewardModel === null ? NO_VERSION : models.rewardModel.version
  const lrmFailed = models.rewardModel !== null && degraded.has('lrm')
  return {
    weaverVersion: isWoven && !degraded.has('weaver') ? (models.weaver.version ?? NO_VERSION) : null,
    lrmVersion: isRewarded && !lrmFailed ? lrmVersion : null,
    judgeVersion: isJudged ? judgeVersion : null,
  }
}

/**
 * The latents, or null when half precision, in which the store keeps them, cannot hold z_base: an infinite shift would carry every
 * later answer with it. z* is z_base, or was checked where it was made.
 */
function storable(latents: Outcome['latents']): Outcome['latents'] {
  return latents !== null && fitFloat16(latents.zBase) ? latents : null
}

/**
 * The latent thoughts that an episode keeps, by candidate: at most `limit`, the returned answer's first, then in the order in which
 * the candidates were judged; only those that half precision can hold (LTO, arXiv 2509.26314, section 3).
 */
function thoughtsToKeep(
  candidates: readonly JudgedCandidate[],
  chosen: Evaluation,
  limit: number,
): ReadonlyMap<JudgedCandidate, LatentThought> {
  const first = candidates.filter(({ evaluation }) => evaluation === chosen)
  const others = candidates.filter(({ evaluation }) => evaluation !== chosen)
  const kept = new Map<JudgedCandidate, LatentThought>()
  for (const candidate of [...first, ...others]) {
    if (kept.size >= limit) break
    const { thought } = candidate.evaluation.answer
    if (thought !== null && fitFloat16({ ...thought, length: thought.layers })) kept.set(candidate, thought)
  }
  return kept
}
