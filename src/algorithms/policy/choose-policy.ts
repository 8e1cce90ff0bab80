/**
 * @file Chooses what `auto` does after a draft, from measurements: by how confident the draft is, one of several
 * arms, so that accuracy is highest for the tokens that it costs.
 *
 * Difficulty-adaptive test-time compute (Snell et al., arXiv 2408.03314, section 3.2) with the draft's own P(correct)
 * in the place of difficulty.
 */

import { createRandom } from '#tensor'
import { type Difference, meanDifference, type Pair, toFigure } from '../training/non-inferiority.ts'
import type { Figure } from '../training/training-result.ts'

/** The arm that returns the draft. */
export const STOP = 'stop'

/** One question with a known answer: its draft, and what every arm made of it. */
export interface MeasuredQuestion {
  /** P(correct) of the draft, in [0, 1], by the signal that the policy will read. */
  readonly confidence: number
  readonly draft: Outcome
  /** Whether its arms were measured; else they count as wrong, at most. True unless given. */
  readonly isSampled?: boolean
  /** By name of the arm; tokens without those of the draft. All questions have the same arms. */
  readonly arms: Readonly<Record<string, Outcome>>
}

export interface Outcome {
  /** Share of the seeds whose answer was right, in [0, 1]. */
  readonly accuracy: number
  /** Mean number of tokens decoded and judged. */
  readonly tokens: number
}

/** What to do with drafts whose P(correct) is at least `from` and below the `from` of the next band. */
export interface Band {
  readonly from: number
  readonly arm: string
  /** Number of questions on which the band was measured. */
  readonly questions: number
  /** Accuracy of the drafts, and with the arm, in [0, 1]. */
  readonly draftAccuracy: number
  readonly accuracy: number
  /** Mean number of tokens with those of the draft. */
  readonly tokens: number
}

export interface PolicyOptions {
  /** Gain in accuracy that the tokens of one more draft must bring, in [0, 1]. */
  readonly price: number
  /** Lower bound on the questions of a band; 30 unless given. A band of fewer, which are all there are, only stops. */
  readonly minQuestions?: number
  /** Numbers of bands to choose from, in ascending order; 1, 2 and 4 unless given. */
  readonly bands?: readonly number[]
}

const FOLDS = 5
const MIN_QUESTIONS = 30
const BANDS = [1, 2, 4]

/**
 * Returns the bands in ascending order of `from`, the first from 0. Cuts lie at quantiles of the confidences. Each band has the arm of
 * the highest utility: accuracy - price x (tokens / mean tokens of a draft), so that arms are compared by accuracy per token.
 * Of the numbers of bands, the fewest are taken whose cross-validated utility is within one standard error of the best: where the
 * draft's confidence says little, more bands only fit noise.
 *
 * No arm has to be surely better in its band: bands are small, and asking each for 95 % confidence gave away two thirds of what
 * policies gain on other questions (docs/benchmarks.md, `npm run bench:judge`). What is chosen this way looks better than it is:
 * only `crossValidatePolicy` reports what a policy gives.
 *
 * @throws RangeError without questions
 */
export function choosePolicy(questions: readonly MeasuredQuestion[], options: PolicyOptions): Band[] {
  if (questions.length === 0) throw new RangeError('policy: expected questions, got none')
  return mergeEqual(fitBands(questions, options, numberOfBands(questions, options)))
}

/** Returns the number of bands to cut the questions into. */
function numberOfBands(questions: readonly MeasuredQuestion[], options: PolicyOptions): number {
  const utility = utilityOn(questions, options)
  const [fewest, ...more] = (options.bands ?? BANDS).map((count) => {
    const followed = followOthers(questions, (others) => fitBands(others, options, count))
    return { count, utilities: followed.map(utility) }
  })
  const best = more.reduce((one, other) => (sumOf(other) > sumOf(one) ? other : one), fewest!)
  const isAsGood = ({ utilities }: typeof best) => {
    const lost = utilities.map((own, index) => best.utilities[index]! - own)
    return mean(lost, (one) => one) <= standardError(lost)
  }
  return [fewest!, ...more].find(isAsGood)!.count
}

const sumOf = ({ utilities }: { readonly utilities: readonly number[] }) =>
  utilities.reduce((sum, utility) => sum + utility, 0)

export function standardError(values: readonly number[]): number {
  const center = mean(values, (value) => value)
  return Math.sqrt(mean(values, (value) => (value - center) ** 2) / values.length)
}

/** Returns the utility of an outcome beside these questions. */
export function utilityOn(
  questions: readonly MeasuredQuestion[],
  { price }: PolicyOptions,
): (outcome: Outcome) => number {
  const draftTokens = mean(questions, ({ draft }) => draft.tokens)
  return ({ accuracy, tokens }) => accuracy - price * (tokens / draftTokens)
}

/** Returns at most `count` bands, each with its best arm. */
function fitBands(questions: readonly MeasuredQuestion[], options: PolicyOptions, count: number): Band[] {
  const { minQuestions = MIN_QUESTIONS } = options
  const utility = utilityOn(questions, options)
  return cut(questions, { minQuestions, count }).map((own, band) => {
    const arms = own.length < minQuestions ? [] : Object.keys(own[0]!.arms)
    const outcomeOf = (arm: string) => {
      const outcomes = own.map((question) => follow(question, arm))
      return {
        arm,
        accuracy: mean(outcomes, ({ accuracy }) => accuracy),
        tokens: mean(outcomes, ({ tokens }) => tokens),
      }
    }
    const best = arms
      .map(outcomeOf)
      .reduce((one, other) => (utility(other) > utility(one) ? other : one), outcomeOf(STOP))
    return {
      ...best,
      from: band === 0 ? 0 : own[0]!.confidence,
      questions: own.length,
      draftAccuracy: mean(own, ({ draft }) => draft.accuracy),
    }
  })
}

/** The band of a draft with P(correct) `confidence`. `bands` as `choosePolicy` returns them. */
export function bandOf<B extends Pick<Band, 'from'>>(bands: readonly B[], confidence: number): B {
  return bands.findLast(({ from }) => confidence >= from) ?? bands[0]!
}

/**
 * Returns what a policy chosen this way gives on questions that it was not chosen on: five times it is chosen on four
 * fifths and measured on the rest. Intervals are 95 % of the normal approximation over questions.
 */
export function crossValidatePolicy(
  questions: readonly MeasuredQuestion[],
  options: PolicyOptions,
): {
  readonly accuracy: Figure
  readonly gain: Figure
  readonly tokens: number
  /** Outcome of each question. */
  readonly outcomes: readonly Outcome[]
} {
  const followed = followOthers(questions, (others) => choosePolicy(others, options))
  return {
    outcomes: followed,
    accuracy: toFigure(
      differenceOf(
        followed,
        questions.map(() => 0),
      ),
    ),
    ...compareWithDrafts(
      followed,
      questions.map(({ draft }) => draft),
    ),
  }
}

/**
 * Returns the outcome of each question under bands that were chosen on the other folds; the draft where there are no others. The
 * folds are drawn, because files list problems by family and difficulty.
 */
function followOthers(
  questions: readonly MeasuredQuestion[],
  choose: (others: readonly MeasuredQuestion[]) => readonly Band[],
): readonly Outcome[] {
  const foldOf = drawFolds(questions.length)
  const policies = Array.from({ length: FOLDS }, (_, fold) => {
    const others = questions.filter((_, index) => foldOf[index] !== fold)
    return others.length === 0 ? null : choose(others)
  })
  return questions.map((question, index) => {
    const policy = policies[foldOf[index]!] ?? null
    return policy === null ? question.draft : follow(question, bandOf(policy, question.confidence).arm)
  })
}

/**
 * Returns the accuracy of outcomes above that of the drafts of the same questions, with a 95 % interval, and their mean
 * tokens.
 */
export function compareWithDrafts(
  outcomes: readonly Outcome[],
  drafts: readonly Outcome[],
): { readonly gain: Figure; readonly tokens: number } {
  const theirs = drafts.map(({ accuracy }) => accuracy)
  return {
    gain: toFigure(differenceOf(outcomes, theirs)),
    tokens: mean(outcomes, ({ tokens }) => tokens),
  }
}

/** Returns the fold of each question. Deterministic. */
function drawFolds(count: number): readonly number[] {
  const random = createRandom(0)
  const places = Array.from({ length: count }, (_, index) => ({ index, draw: random.uniform() }))
  const folds = new Array<number>(count)
  for (const [place, { index }] of places.sort((a, b) => a.draw - b.draw).entries())
    folds[index] = place % FOLDS
  return folds
}

/** Questions in ascending order of confidence, cut into bands; questions of equal confidence share a band. */
function cut(
  questions: readonly MeasuredQuestion[],
  { minQuestions, count: most }: { readonly minQuestions: number; readonly count: number },
): MeasuredQuestion[][] {
  const sorted = questions.toSorted((one, other) => one.confidence - other.confidence)
  const count = Math.max(1, Math.min(most, Math.floor(sorted.length / minQuestions)))
  const bands: MeasuredQuestion[][] = [[]]
  for (const [index, question] of sorted.entries()) {
    const current = bands.at(-1)!
    const isNew = question.confidence !== current.at(-1)?.confidence
    const isFull = current.length >= minQuestions && index >= (bands.length * sorted.length) / count
    const isRestEnough = sorted.length - index >= minQuestions
    if (isNew && isFull && isRestEnough && bands.length < count) bands.push([question])
    else current.push(question)
  }
  return bands
}

/** Returns the mean difference of accuracies, each question an observation of its own, and its 95 % interval. */
function differenceOf(outcomes: readonly Outcome[], theirs: readonly number[]): Difference {
  const pairs = outcomes.map(
    ({ accuracy }, index): Pair => ({ cluster: String(index), mine: accuracy, theirs: theirs[index]! }),
  )
  return meanDifference(pairs, Z, { binary: true })
}

/** Returns the outcome of a question under an arm, with the tokens of the draft. */
export function follow({ draft, arms }: MeasuredQuestion, arm: string): Outcome {
  if (arm === STOP) return draft
  const { accuracy, tokens } = arms[arm]!
  return { accuracy, tokens: draft.tokens + tokens }
}

/** Joins neighbouring bands of the same arm. */
function mergeEqual(bands: readonly Band[]): Band[] {
  const merged: Band[] = []
  for (const band of bands) {
    const before = merged.at(-1)
    if (before?.arm === band.arm) merged.splice(-1, 1, pool(before, band))
    else merged.push(band)
  }
  return merged
}

function pool(lower: Band, upper: Band): Band {
  const questions = lower.questions + upper.questions
  const meanOf = (measure: (band: Band) => number) =>
    (measure(lower) * lower.questions + measure(upper) * upper.questions) / questions
  return {
    ...lower,
    questions,
    draftAccuracy: meanOf(({ draftAccuracy }) => draftAccuracy),
    accuracy: meanOf(({ accuracy }) => accuracy),
    tokens: meanOf(({ tokens }) => tokens),
  }
}

/** Quantile of the standard normal distribution for 95 %, two-sided. */
export const Z = 1.959964

function mean<Item>(items: readonly Item[], measure: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + measure(item), 0) / items.length
}
