/**
 * @file The policy of `auto` on the P(correct) of a fused judge: chosen from stored answers, which cost no decoding, and
 * measured on others.
 */

import { EFFORTS, type JudgedAnswer, type Policy, type PolicyArm } from '#ports'
import { bestOfN } from '../lto/best-of-n.ts'
import type { GateAnswer } from '../lto/compare-questions.ts'
import { majorityVote } from '../lto/majority.ts'
import type { LabelKind } from '../lto/reward-model-types.ts'
import { chooseByEffort } from '../policy/choose-by-effort.ts'
import { bandOf, compareWithDrafts, type MeasuredQuestion, type Outcome } from '../policy/choose-policy.ts'
import type { Figure } from '../training/training-result.ts'
import { agreementOf, judgeFeatures } from './features.ts'
import { type JudgeWeights, judgedProbability } from './fused-judge.ts'

/** A labelled answer, as far as a policy reads it. */
export interface PolicyAnswer {
  readonly answer: Omit<GateAnswer, 'score'>
  readonly known: JudgedAnswer
  readonly source: LabelKind
  readonly kind: 'draft' | 'regeneration' | 'sample'
}

/** One question: an answer in the place of the draft, and samples beside it. */
interface Bank {
  readonly draft: PolicyAnswer
  readonly samples: readonly PolicyAnswer[]
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
const MIN_SAMPLES = 4
const MAX_SAMPLES = 8
/** Share of the questions that must have the samples of an arm: the others are left out. */
const MIN_SHARE = 0.75

/**
 * Chooses a policy on the answers that the judge was fitted to: it has a dozen weights, so its scores on them are hardly
 * surer than on others. Tokens are decoded ones; those of the verifier are not stored.
 *
 * A question counts once, its near-duplicates included, when its samples are labelled by a reference: it was given before
 * there were answers. A majority favours the vote, and so does feedback, which leaves most samples without a trusted label
 * where the returned one is wrong; where there is feedback, the question is left out. Samples beside a draft of the same
 * episode are left out: a policy sampled them because the draft was doubtful, so that sure drafts would be missing. The draft is that of another episode of the same question, else the first
 * sample; it has no agreement, as in a request.
 */
export function chooseJudgePolicy(
  weights: JudgeWeights,
  answers: readonly PolicyAnswer[],
): JudgePolicyChoice {
  const banks = banksOf(answers)
  const counts = sampleCounts(banks)
  const arms = armsOf(counts)
  const questions = banks
    .filter(({ samples }) => samples.length >= Math.max(...counts))
    .map(
      (bank): MeasuredQuestion => ({
        ...draftOf(weights, bank),
        arms: Object.fromEntries(
          Object.entries(arms).map(([name, arm]) => [name, outcomeOf(weights, bank, arm)]),
        ),
      }),
    )
  const choice = chooseByEffort(questions, { signal: 'judge', arms })
  const taken = (choice?.rows ?? []).filter(({ isTaken }) => isTaken)
  return {
    questions: questions.length,
    policy: choice?.policy ?? null,
    metrics: Object.assign({}, ...taken.map(({ effort, ...row }) => figures(effort, row))),
  }
}

/** Measures the policy of a judge on labelled answers that it was not chosen on; see `chooseJudgePolicy`. */
export function measureJudgePolicy(
  { policy, ...weights }: JudgeWeights,
  answers: readonly PolicyAnswer[],
): Readonly<Record<string, Figure>> {
  if (policy === undefined) return {}
  const banks = banksOf(answers)
  const measured = EFFORTS.map((effort) => {
    const bands = policy[effort] ?? []
    const most = Math.max(...bands.map(({ samples = 0 }) => samples))
    const own = banks.filter(({ samples }) => samples.length >= most)
    if (bands.length === 0 || own.length === 0) return {}
    const drafts = own.map((bank) => draftOf(weights, bank))
    const outcomes = drafts.map(({ confidence, draft }, index): Outcome => {
      const band = bandOf(bands, confidence)
      if (band.strategy === 'greedy') return draft
      const { accuracy, tokens } = outcomeOf(weights, own[index]!, band)
      return { accuracy, tokens: draft.tokens + tokens }
    })
    return figures(
      effort,
      compareWithDrafts(
        outcomes,
        drafts.map(({ draft }) => draft),
      ),
    )
  })
  return Object.assign({}, ...measured)
}

function figures(
  effort: string,
  { gain, tokens }: { readonly gain: Figure; readonly tokens: number },
): Readonly<Record<string, Figure>> {
  return { [`policy.${effort}.gain`]: gain, [`policy.${effort}.tokens`]: { value: tokens, n: gain.n } }
}

function banksOf(answers: readonly PolicyAnswer[]): readonly Bank[] {
  const questionOf = ({ answer: { tenantId, question } }: PolicyAnswer) => `${tenantId} ${question}`
  const isTrusted = ({ source }: PolicyAnswer) => source === 'reference'
  const drafts = Map.groupBy(
    answers.filter((one) => one.kind === 'draft' && isTrusted(one)),
    questionOf,
  )
  const banks = new Map<string, Bank>()
  const episodes = Map.groupBy(answers, ({ answer }) => `${answer.tenantId} ${answer.episodeId}`)
  for (const own of episodes.values()) {
    const [first, ...others] = own.filter(({ kind }) => kind === 'sample')
    if (first === undefined || !own.every((one) => one.kind !== 'draft' && isTrusted(one))) continue
    const draft = drafts.get(questionOf(first))?.[0]
    const cluster = first.answer.cluster ?? first.answer.question
    const bank =
      draft === undefined
        ? { draft: withAgreement(first, null), samples: others }
        : { draft, samples: [first, ...others] }
    if (bank.samples.length >= MIN_SAMPLES && !banks.has(cluster)) banks.set(cluster, bank)
  }
  return [...banks.values()]
}

/** Numbers of samples of the arms: four, and the most up to eight that nearly all questions have. */
function sampleCounts(banks: readonly Bank[]): readonly number[] {
  for (let count = MAX_SAMPLES; count > MIN_SAMPLES; count--) {
    const having = banks.filter(({ samples }) => samples.length >= count).length
    if (having > 0 && having >= MIN_SHARE * banks.length) return [MIN_SAMPLES, count]
  }
  return [MIN_SAMPLES]
}

function armsOf(counts: readonly number[]): Readonly<Record<string, PolicyArm>> {
  return Object.fromEntries(
    counts.flatMap((samples): [string, PolicyArm][] => [
      [`majority of ${samples}`, { strategy: 'majority', samples }],
      [`best of ${samples} by judge`, { strategy: 'best-of-n', samples, selector: 'judge' }],
    ]),
  )
}

function draftOf(weights: JudgeWeights, { draft }: Bank): Pick<MeasuredQuestion, 'confidence' | 'draft'> {
  return {
    confidence: judgedProbability(weights, judgeFeatures(draft.known)),
    draft: { accuracy: Number(draft.answer.correct), tokens: draft.known.tokens },
  }
}

/** Returns the outcome of an arm without the tokens of the draft, which is kept where the samples elect no answer. */
function outcomeOf(weights: JudgeWeights, { draft, samples }: Bank, arm: PolicyArm): Outcome {
  const own = samples.slice(0, arm.samples)
  const alikeOf = (one: PolicyAnswer) =>
    own.filter(({ answer }) => answer.answer === one.answer.answer).length
  const votes = own.map((one) => {
    const { answer } = one.answer
    const agreement = agreementOf(answer, { samples: own.length, alike: alikeOf(one) })
    const { known } = withAgreement(one, agreement)
    return { answer, reward: known.reward, score: judgedProbability(weights, judgeFeatures(known)) }
  })
  const chosen = arm.strategy === 'majority' ? majorityVote(votes) : bestOfN(votes)
  const elected = own[chosen]?.answer
  return {
    accuracy: Number((elected?.answer == null ? draft.answer : elected).correct),
    tokens: own.reduce((sum, { known }) => sum + known.tokens, 0),
  }
}

function withAgreement(one: PolicyAnswer, agreement: number | null): PolicyAnswer {
  return { ...one, known: { ...one.known, agreement } }
}
