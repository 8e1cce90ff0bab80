/**
 * @file The policy of `auto` on the P(correct) of a fused judge: chosen from stored answers, which cost no decoding, and
 * measured on others.
 */

import { EFFORTS, type JudgedAnswer, type Policy, type PolicyArm, type PolicyBand } from '#ports'
import { bestOfN } from '../lto/best-of-n.ts'
import type { GateAnswer } from '../lto/compare-questions.ts'
import { likelyVote } from '../lto/majority.ts'
import type { LabelKind } from '../lto/reward-model-types.ts'
import { chooseByEffort } from '../policy/choose-by-effort.ts'
import { bandOf, compareWithDrafts, type MeasuredQuestion, type Outcome } from '../policy/choose-policy.ts'
import { ordersOf, playRounds, VOTES_OF_AUTO, votesFor } from '../policy/rounds.ts'
import type { Pair } from '../training/non-inferiority.ts'
import type { Figure } from '../training/training-result.ts'
import { agreementOf, judgeFeatures } from './features.ts'
import { type JudgeWeights, judgedProbability } from './fused-judge.ts'

/** A labelled answer, as far as a policy reads it. */
export interface PolicyAnswer {
  readonly answer: Omit<GateAnswer, 'score'>
  readonly known: JudgedAnswer
  readonly source: LabelKind
  readonly kind: 'draft' | 'regeneration' | 'sample'
  /** Strategy of the episode. */
  readonly strategy: string
}

/** One question: its greedy draft, and samples beside it. */
interface Bank {
  readonly draft: PolicyAnswer
  /** null: none is known to be right; the question counts against every arm. */
  readonly samples: readonly PolicyAnswer[] | null
}

interface JudgePolicyChoice {
  /** Questions with samples enough. */
  readonly questions: number
  /** null: nothing pays, or the questions are too few. */
  readonly policy: Policy | null
  /** By effort: the gain over the drafts on questions that the bands were not chosen on, and the mean tokens. */
  readonly metrics: Readonly<Record<string, Figure>>
}

/** Samples of the cheap arms, and of the dear ones at most. */
const FEW_SAMPLES = [2, 4]
const MAX_SAMPLES = 8
/** Samples that an episode needs to measure arms on. */
const MIN_SAMPLES = 4
/** Share of the questions that must have the samples of an arm: the others are left out. */
const MIN_SHARE = 0.75
/** P(correct) at which arms that sample in rounds stop, and below which. */
const STOP_ABOVE = [0.4, 0.6, 0.8, 0.95]
const STOP_BELOW = [0, 0.05, 0.1]
/** Votes, that of the draft included, at which arms that sample in rounds stop. */
const STOP_VOTES = [2, VOTES_OF_AUTO]

/**
 * Chooses a policy on the answers that the judge was fitted to: it has a dozen weights, so its scores on them are hardly
 * surer than on others. Tokens are decoded ones; those of the verifier are not stored.
 *
 * A question counts once, its near-duplicates included.
 *
 * - *Samples* are those of an episode whose samples a reference labels: it was known before there were samples. A majority
 *   favours the vote. So does feedback on an answer that the vote elected, which labels all samples where it was right, and only
 *   that answer where it was wrong. Samples of `auto` are left out: a policy took them because the draft was doubtful, so that
 *   sure drafts would be missing.
 * - The *draft* is that of the episode, else of another one of the question, labelled by reference or feedback; it has no
 *   agreement, as in a request. A sample cannot stand for it: the greedy answer is right more often, so that every arm would
 *   seem to gain.
 * - A question of which feedback only says that the returned answer is *wrong* counts against the arms: the draft as right
 *   unless it gave that answer, every arm as wrong, at the tokens of as many drafts. Without these questions, an answer that an
 *   arm found would be measured only where callers praised it. So what a policy gains where there is feedback is a lower bound.
 *
 * Labels that contradict each other leave a question out.
 */
export function chooseJudgePolicy(
  weights: JudgeWeights,
  answers: readonly PolicyAnswer[],
): JudgePolicyChoice {
  const { questions, arms } = measureArms(weights, answers)
  const choice = chooseByEffort(questions, { signal: 'judge', arms, vote: votesWithoutPolicy(arms) })
  const taken = (choice?.rows ?? []).filter(({ isTaken }) => isTaken)
  return {
    questions: questions.length,
    policy: choice?.policy ?? null,
    metrics: Object.assign({}, ...taken.map(({ effort, ...row }) => figures(effort, row))),
  }
}

/** Returns the arms that these answers can measure, by name, and what each makes of every question; see `chooseJudgePolicy`. */
export function measureArms(
  weights: JudgeWeights,
  answers: readonly PolicyAnswer[],
): {
  readonly questions: readonly MeasuredQuestion[]
  readonly arms: Readonly<Record<string, PolicyArm>>
} {
  const banks = banksOf(answers)
  const counts = sampleCounts(banks)
  const arms = armsOf(counts)
  const questions = banks
    .filter((bank) => hasSamples(bank, Math.max(...counts)))
    .map(
      (bank): MeasuredQuestion => ({
        ...draftOf(weights, bank),
        isSampled: bank.samples !== null,
        arms: Object.fromEntries(
          Object.entries(arms).map(([name, arm]) => [name, outcomeOf(weights, bank, arm)]),
        ),
      }),
    )
  return { questions, arms }
}

/** Measures the policy of a judge on labelled answers that it was not chosen on; see `chooseJudgePolicy`. */
export function measureJudgePolicy(
  judge: JudgeWeights,
  answers: readonly PolicyAnswer[],
): Readonly<Record<string, Figure>> {
  if (judge.policy === undefined) return {}
  const all = banksOf(answers)
  const measured = EFFORTS.map((effort) => {
    const bands = judge.policy?.[effort] ?? []
    const banks = all.filter((bank) => hasSamples(bank, mostSamples(bands)))
    if (bands.length === 0 || banks.length === 0) return {}
    const outcomes = banks.map((bank) => outcomeUnder(judge, bands, bank))
    const drafts = banks.map(({ draft }) => outcomeOfDraft(draft))
    return figures(effort, compareWithDrafts(outcomes, drafts))
  })
  return Object.assign({}, ...measured)
}

/** Efforts in the order in which policies are compared: that of a request that names none comes first. */
const COMPARED_EFFORTS = ['medium', 'high', 'low'] as const

/**
 * Returns what the policy of a judge makes of labelled answers that it was not chosen on, beside the policy of a rival, or beside
 * the vote of `auto` without a policy where it has none: accuracy of each question, in {0, 1}. No pair without a policy.
 */
export function comparePolicies(
  judge: JudgeWeights,
  rival: JudgeWeights | null,
  answers: readonly PolicyAnswer[],
): readonly Pair[] {
  const effort = COMPARED_EFFORTS.find((one) => judge.policy?.[one] !== undefined)
  if (effort === undefined) return []
  const bands = judge.policy?.[effort] ?? []
  const theirs = rival?.policy?.[effort] ?? []
  return banksOf(answers)
    .filter((bank) => hasSamples(bank, mostSamples([...bands, ...theirs])))
    .map((bank) => {
      const { cluster, question } = bank.draft.answer
      const beside =
        rival === null || theirs.length === 0 ? outcomeOfVote(judge, bank) : outcomeUnder(rival, theirs, bank)
      const mine = outcomeUnder(judge, bands, bank)
      return { cluster: cluster ?? question, mine: mine.accuracy, theirs: beside.accuracy }
    })
}

/** What `auto` makes of a question without a policy; of one without samples, the draft. */
function outcomeOfVote(judge: JudgeWeights, bank: Bank): Outcome {
  if (bank.samples === null) return outcomeOfDraft(bank.draft)
  const [, arm] = voteArm(Math.min(MAX_SAMPLES, bank.samples.length), VOTES_OF_AUTO)
  return outcomeOf(judge, bank, arm)
}

function mostSamples(bands: readonly PolicyBand[]): number {
  return Math.max(0, ...bands.map(({ samples = 0 }) => samples))
}

/** Returns what the bands make of a question, the tokens of the draft included. */
function outcomeUnder(judge: JudgeWeights, bands: readonly PolicyBand[], bank: Bank): Outcome {
  const { confidence, draft } = draftOf(judge, bank)
  const band = bandOf(bands, confidence)
  if (band.strategy === 'greedy') return draft
  const { accuracy, tokens } = outcomeOf(judge, bank, band)
  return { accuracy, tokens: draft.tokens + tokens }
}

function figures(
  effort: string,
  { gain, tokens }: { readonly gain: Figure; readonly tokens: number },
): Readonly<Record<string, Figure>> {
  return { [`policy.${effort}.gain`]: gain, [`policy.${effort}.tokens`]: { value: tokens, n: gain.n } }
}

function hasSamples({ samples }: Bank, count: number): boolean {
  return samples === null || samples.length >= count
}

function banksOf(answers: readonly PolicyAnswer[]): readonly Bank[] {
  const banks = new Map<string, Bank>()
  const questions = Map.groupBy(answers, ({ answer: { tenantId, question } }) => `${tenantId} ${question}`)
  for (const own of questions.values()) {
    const cluster = own[0]!.answer.cluster ?? own[0]!.answer.question
    const bank = banks.has(cluster) ? null : bankOf(own)
    if (bank !== null) banks.set(cluster, bank)
  }
  return [...banks.values()]
}

/** Returns the bank of the answers to one question; null when they are no measurement. */
function bankOf(answers: readonly PolicyAnswer[]): Bank | null {
  const told = answers.filter(({ source }) => source === 'reference' || source === 'feedback')
  const keysOf = (isRight: boolean) =>
    new Set(told.filter(({ answer }) => answer.correct === isRight).map(({ answer }) => answer.answer))
  const [right, wrong] = [keysOf(true), keysOf(false)]
  if (right.size > 1 || !right.isDisjointFrom(wrong)) return null
  const episodes = [...Map.groupBy(answers, ({ answer }) => answer.episodeId).values()]
  const sampled = episodes
    .map((own) => own.filter(({ kind, strategy }) => kind === 'sample' && strategy !== 'auto'))
    .find((own) => own.length >= MIN_SAMPLES && own.every(({ source }) => source === 'reference'))
  if (sampled !== undefined) {
    const drafts = told.filter(({ kind }) => kind === 'draft')
    const beside = drafts.find(({ answer }) => answer.episodeId === sampled[0]!.answer.episodeId)
    const draft = beside ?? drafts[0]
    return draft === undefined ? null : { draft, samples: sampled }
  }
  const isRefuted = right.size === 0 && told.length > 0 && told.every(({ source }) => source === 'feedback')
  const draft = answers.find(({ kind }) => kind === 'draft')
  if (!isRefuted || draft === undefined) return null
  const correct = !wrong.has(draft.answer.answer)
  return { draft: { ...draft, answer: { ...draft.answer, correct } }, samples: null }
}

/** Numbers of samples of the arms: two, four, and the most up to eight that nearly all questions with samples have. */
function sampleCounts(banks: readonly Bank[]): readonly number[] {
  const sampled = banks.filter(({ samples }) => samples !== null)
  for (let count = MAX_SAMPLES; count > MIN_SAMPLES; count--) {
    const having = sampled.filter((bank) => hasSamples(bank, count)).length
    if (having > 0 && having >= MIN_SHARE * sampled.length) return [...FEW_SAMPLES, count]
  }
  return FEW_SAMPLES
}

/** A vote and the judge's choice of each number of samples; of the highest number also in rounds. */
function armsOf(counts: readonly number[]): Readonly<Record<string, PolicyArm>> {
  const byJudge = { strategy: 'best-of-n', selector: 'judge' } as const
  const whole = counts.flatMap((samples): [string, PolicyArm][] => [
    [`majority of ${samples}`, { strategy: 'majority', samples, selector: 'log-probability' }],
    [`best of ${samples} by judge`, { ...byJudge, samples }],
  ])
  const samples = Math.max(...counts)
  const inRounds = STOP_ABOVE.flatMap((stopAbove) =>
    STOP_BELOW.map((stopBelow): [string, PolicyArm] => [
      `best of up to ${samples} by judge, from ${stopBelow} to ${stopAbove}`,
      { ...byJudge, samples, stopAbove, stopBelow },
    ]),
  )
  const byVotes = counts
    .filter((count) => count >= MIN_SAMPLES)
    .flatMap((count) => STOP_VOTES.map((stopVotes) => voteArm(count, stopVotes)))
  return Object.fromEntries([...whole, ...byVotes, ...inRounds])
}

function voteArm(samples: number, stopVotes: number): [string, PolicyArm] {
  const name = `majority of up to ${samples}, until ${stopVotes} votes`
  return [name, { strategy: 'majority', samples, selector: 'log-probability', stopVotes }]
}

/** What `auto` does without a policy, by effort: up to four samples for `low`, else as many as there are. */
function votesWithoutPolicy(arms: Readonly<Record<string, PolicyArm>>) {
  const nameOf = (samples: number) => voteArm(samples, VOTES_OF_AUTO)[0]
  const most = nameOf(Math.max(...Object.values(arms).map(({ samples = 0 }) => samples)))
  return { low: nameOf(MIN_SAMPLES), medium: most, high: most }
}

function draftOf(weights: JudgeWeights, { draft }: Bank): Pick<MeasuredQuestion, 'confidence' | 'draft'> {
  return {
    confidence: judgedProbability(weights, judgeFeatures(draft.known)),
    draft: outcomeOfDraft(draft),
  }
}

function outcomeOfDraft({ answer, known }: PolicyAnswer): Outcome {
  return { accuracy: Number(answer.correct), tokens: known.tokens }
}

/**
 * Returns the outcome of an arm without the tokens of the draft. The draft is a candidate beside the samples: it has been paid for,
 * and greedy answers are right more often than samples. An arm that needs fewer samples than there are is measured with each of
 * several orders of them, which a request could have drawn as well.
 */
function outcomeOf(weights: JudgeWeights, { draft, samples }: Bank, arm: PolicyArm): Outcome {
  if (samples === null) return { accuracy: 0, tokens: (arm.samples ?? 0) * draft.known.tokens }
  const outcomes = ordersOf(samples).map((ordered) =>
    playRounds(arm, (count) => choose(weights, [draft, ...ordered.slice(0, count)], arm)),
  )
  const meanOf = (measure: (choice: (typeof outcomes)[number]) => number) =>
    outcomes.reduce((sum, outcome) => sum + measure(outcome), 0) / outcomes.length
  return {
    accuracy: meanOf(({ chosen }) => Number(chosen.answer.correct)),
    tokens: meanOf(({ tokens }) => tokens) - draft.known.tokens,
  }
}

/** Returns which candidate an arm chooses, its P(correct), and the tokens of all candidates. */
function choose(weights: JudgeWeights, candidates: readonly PolicyAnswer[], { strategy }: PolicyArm) {
  const alikeOf = (answer: string | null) =>
    candidates.filter((other) => other.answer.answer === answer).length
  const scored = candidates.map(({ answer: { answer }, known }) => {
    const agreement = agreementOf(answer, { answers: candidates.length, alike: alikeOf(answer) })
    const score = judgedProbability(weights, judgeFeatures({ ...known, agreement }))
    return { answer, reward: known.reward, logProbability: known.logProbability, score }
  })
  const index = strategy === 'majority' ? likelyVote(scored) : bestOfN(scored)
  return {
    chosen: candidates[index]!,
    confidence: scored[index]!.score,
    votes: votesFor(scored[index]!.answer, scored),
    tokens: candidates.reduce((sum, { known }) => sum + known.tokens, 0),
  }
}
