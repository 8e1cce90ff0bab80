/**
 * @file Simulated trials for the gates: outcomes whose true effect is known, in the form that a night measures.
 *
 * Weaver: each question has a place u in [0, 1), the same for all arms. An arm of accuracy a is right where
 * u < a, and one answer in a hundred is flipped independently. The reward follows the answer. Reward model:
 * eight answers to a question, of which a share that varies by question is right; a score is the label plus
 * Gaussian noise, most of it common to both models, as models trained on the same episodes err alike.
 */

import { type GateAnswer, gateRewardModel, gateWeaver, type TrialQuestion } from '#algorithms'
import { createRandom, type Random } from '#tensor'

export const QUESTIONS = 150
const LOOK_QUESTIONS = 50
const FLIPPED = 0.01
const FIRST_PASS = 0.45
const SEARCH_STEPS = 5

interface Place {
  readonly place: number
  /** In [0, 1): an arm that passes a share p at once passes this question when it is below p. */
  readonly ease: number
  readonly tenantId: string
}

/** An arm of the weaver's trial. */
interface Arm {
  /** True accuracy. */
  readonly accuracy: number
  /** Share of questions that pass without a search; .45 unless given. */
  readonly firstPass?: number
  /** Accuracy on the questions of the tenant `liar` by its labels; as on all others unless given. */
  readonly liarAccuracy?: number
}

export interface WeaverNight {
  readonly candidate: Arm
  readonly active: Arm
  readonly anchor?: Arm
  /** Number of tenants that ask as often as each other; 1 unless given. */
  readonly tenants?: number
  /** Share of the questions that the tenant `liar` asked; none unless given. */
  readonly liarShare?: number
  /** Labels of the first questions: all are labelled unless given. */
  readonly labels?: { readonly count: number; readonly correct?: { candidate: boolean; active: boolean } }
  /** Whether the trial with memory draws its own outcomes; otherwise it repeats those without. */
  readonly ownGuard?: boolean
}

/** Runs the weaver's gate on one simulated night, look by look. */
export function judgeWeaverNight(night: WeaverNight, random: Random): ReturnType<typeof gateWeaver> {
  const places = Array.from({ length: QUESTIONS }, (_, index): Place => {
    const tenantId =
      random.uniform() < (night.liarShare ?? 0) ? 'liar' : `tenant ${index % (night.tenants ?? 1)}`
    return { place: random.uniform(), ease: random.uniform(), tenantId }
  })
  const label = night.labels
  const arm = (name: 'candidate' | 'active', own: Arm) =>
    answersOf(places, own, random).map((one, index) =>
      label === undefined
        ? one
        : { ...one, correct: index < label.count ? (label.correct?.[name] ?? one.correct) : null },
    )
  const candidate = arm('candidate', night.candidate)
  const active = arm('active', night.active)
  const anchor = night.anchor === undefined ? null : arm('active', night.anchor)
  const guard = night.ownGuard
    ? { candidate: arm('candidate', night.candidate), active: arm('active', night.active) }
    : { candidate, active }
  const count = QUESTIONS / LOOK_QUESTIONS
  for (let index = 1; ; index++) {
    const seen = <Question>(all: readonly Question[]) => all.slice(0, index * LOOK_QUESTIONS)
    const verdict = gateWeaver({
      candidate: seen(candidate),
      active: seen(active),
      anchor: anchor === null ? null : seen(anchor),
      guard: { candidate: seen(guard.candidate), active: seen(guard.active) },
      look: { index, count },
    })
    if (verdict.decision !== 'continue') return verdict
  }
}

function answersOf(places: readonly Place[], arm: Arm, random: Random): readonly TrialQuestion[] {
  return places.map(({ place, ease, tenantId }, index) => {
    const accuracy = tenantId === 'liar' ? (arm.liarAccuracy ?? arm.accuracy) : arm.accuracy
    const correct = place < accuracy !== random.uniform() < FLIPPED
    const firstPass = ease < (arm.firstPass ?? FIRST_PASS)
    return {
      question: `question ${index}`,
      tenantId,
      correct,
      // The verifier has not seen the false labels: it judges both arms alike there.
      reward: correct || tenantId === 'liar' ? -0.1 * random.uniform() : -0.3 - 0.4 * random.uniform(),
      firstPass,
      iterations: firstPass ? 0 : SEARCH_STEPS,
      evaluations: firstPass ? 1 : 3,
      generatedTokens: firstPass ? 30 : 90,
    }
  })
}

const SAMPLES = 8
/** Correlation of the noise of two reward models. */
const COMMON_NOISE = 0.9
const COMMON = Math.sqrt(COMMON_NOISE)
const OWN = Math.sqrt(1 - COMMON_NOISE)

/** A reward model by its true within-question AUC, or a score that is each question's share of right answers. */
type Scorer = number | 'difficulty'

export interface RewardModelNight {
  readonly candidate: Scorer
  /** null: none is active. */
  readonly active: Scorer | null
  readonly anchor?: Scorer
}

/** Runs the reward model's gate on one simulated night of 150 mixed questions. */
export function judgeRewardModelNight(
  { candidate, active, anchor }: RewardModelNight,
  random: Random,
): ReturnType<typeof gateRewardModel> {
  const answers = mixedAnswers(random)
  const common = answers.map(() => random.gaussian())
  const shares = new Map(
    [...Map.groupBy(answers, ({ episodeId }) => episodeId)].map(([id, own]) => [
      id,
      own.filter(({ correct }) => correct).length / own.length,
    ]),
  )
  const scoresOf = (scorer: Scorer) => {
    const deviation = scorer === 'difficulty' ? 0 : noiseOf(scorer)
    return answers.map(({ episodeId, correct }, index) => {
      if (scorer === 'difficulty') return shares.get(episodeId)!
      const noise = COMMON * common[index]! + OWN * random.gaussian()
      return Number(correct) + deviation * noise
    })
  }
  const scores = scoresOf(candidate)
  return gateRewardModel({
    answers: answers.map((one, index) => ({ ...one, score: scores[index]! })),
    active: active === null ? null : scoresOf(active),
    anchor: anchor === undefined ? null : scoresOf(anchor),
    seed: 1,
    resamples: 2,
  })
}

function mixedAnswers(random: Random): readonly Omit<GateAnswer, 'score'>[] {
  const answers: Omit<GateAnswer, 'score'>[] = []
  for (let question = 0; answers.length < QUESTIONS * SAMPLES; question++) {
    const share = random.uniform()
    const labels = Array.from({ length: SAMPLES }, () => random.uniform() < share)
    if (labels.every(Boolean) || !labels.some(Boolean)) continue
    for (const [sample, correct] of labels.entries()) {
      answers.push({
        question: `question ${question}`,
        episodeId: `episode ${question}`,
        tenantId: `tenant ${question % 10}`,
        answer: correct ? 'right' : `wrong ${sample}`,
        verifier: null,
        byMajority: false,
        correct,
      })
    }
  }
  return answers
}

/** Deviation of the noise at which labels 0 and 1 are ordered right with probability `auc`. */
function noiseOf(auc: number): number {
  return 1 / (Math.SQRT2 * normalQuantile(auc))
}

/** Inverse of the normal distribution function, by bisection. */
function normalQuantile(probability: number): number {
  let [low, high] = [-8, 8]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (normalShare(middle) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Normal distribution function by Simpson's rule from 0. */
function normalShare(value: number): number {
  const steps = 200
  const width = value / steps
  const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
  let sum = density(0) + density(value)
  for (let step = 1; step < steps; step++) sum += (step % 2 === 0 ? 2 : 4) * density(step * width)
  return 0.5 + (sum * width) / 3
}

export interface Drift {
  /** True quality after the last night, minus that before the first. */
  readonly change: number
  readonly promoted: number
}

/** Runs a series of nights, each on the version and the anchor that the last one left. */
export function driftOf(
  nights: number,
  start: number,
  judge: (state: { readonly active: number; readonly anchor: number; readonly effect: number }) => {
    readonly promoted: boolean
    readonly isAnchor: boolean
  },
  drawEffect: () => number,
): Drift {
  let [active, anchor, promoted] = [start, start, 0]
  for (let night = 0; night < nights; night++) {
    const effect = drawEffect()
    const verdict = judge({ active, anchor, effect })
    if (!verdict.promoted) continue
    promoted += 1
    active += effect
    if (verdict.isAnchor) anchor = active
  }
  return { change: active - start, promoted }
}

/** Returns the number of runs of `count` in which the trial is promoted, each with a seed of its own. */
export function countPromoted(
  count: number,
  trial: (random: Random) => { readonly promoted: boolean },
): number {
  let promoted = 0
  for (let run = 0; run < count; run++) promoted += Number(trial(createRandom(run)).promoted)
  return promoted
}
