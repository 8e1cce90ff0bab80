/**
 * @file Arms that need no answers of their own: what other selectors would have chosen among the samples of an arm that
 * keeps them (`explain=true`).
 */

import { bestOfN, likelyVote, majorityVote, weightedMajority } from '#algorithms'
import type { AnswerRecord } from './records.ts'

/** A judged sample that was graded. */
export type JudgedSample = NonNullable<AnswerRecord['candidates']>[number]
type Sample = JudgedSample

/** Returns the sample that a selector chooses; null where the samples lack what it reads. */
type Selector = (samples: readonly Sample[]) => Sample | null

/** Returns the score of a sample; null, or undefined in records of earlier releases, where it has none. */
type ScoreOf = (sample: Sample) => number | null | undefined

/** Between the name of an arm and that of a selector. */
export const ARROW = ' → '

const FIRST = 'first sample'
/** A vote as served under the default profile; that of the name `majority` breaks ties by the reward. */
export const VOTE_BY_LIKELIHOOD = 'majority, ties by log-probability'

/** By name of the selector: the score by which `best-of-n` chooses. */
export const SCORES: Readonly<Record<string, ScoreOf>> = {
  reward: ({ reward }) => reward,
  verifier: ({ rewardTerms }) => rewardTerms['verifier'],
  'log-probability': ({ logProbability }) => logProbability,
  'self-certainty': ({ selfCertainty }) => selfCertainty,
  lrm: ({ lrm }) => lrm,
  judge: ({ confidence }) => confidence,
}

/** By name: what chooses one of several samples. */
export const choosersOfSamples: Readonly<Record<string, Selector>> = {
  [FIRST]: ([first]) => first ?? null,
  majority: (samples) => samples[majorityVote(samples)] ?? null,
  [VOTE_BY_LIKELIHOOD]: (samples) => samples[likelyVote(samples)] ?? null,
  ...Object.fromEntries(Object.entries(SCORES).map(([name, scoreOf]) => [name, best(scoreOf)])),
  'majority weighted by lrm': mostWeight(({ lrm }) => lrm),
  'majority weighted by judge': mostWeight(({ confidence }) => confidence),
  'any right (knows the answers)': (samples) => samples.find(({ right }) => right) ?? samples[0] ?? null,
}

/** Chooses as the strategy `best-of-n` does: a sample without a score comes last. Null when none has one. */
function best(scoreOf: ScoreOf): Selector {
  return (samples) => {
    const scored = withScores(samples, scoreOf)
    return scored === null ? null : (samples[bestOfN(scored)] ?? null)
  }
}

/** Returns the samples with their scores, the lowest for a sample without one; null when none has one. */
export function withScores(
  samples: readonly Sample[],
  scoreOf: ScoreOf,
): readonly (Sample & { readonly score: number })[] | null {
  const scored = samples.map((sample) => ({ ...sample, score: scoreOf(sample) ?? Number.NEGATIVE_INFINITY }))
  return scored.some(({ score }) => Number.isFinite(score)) ? scored : null
}

/** Chooses a sample of the answer whose samples have the most weight together. */
function mostWeight(weightOf: (sample: Sample) => number | null): Selector {
  return (samples) => {
    const weights = samples.map((sample) => weightOf(sample) ?? null)
    if (weights.every((weight) => weight === null)) return null
    const votes = samples.map((sample, index) => ({ ...sample, weight: weights[index] ?? 0 }))
    return samples[weightedMajority(votes)] ?? null
  }
}

/**
 * Returns records of the derived arms, named `ARM → SELECTOR`, in the order of the selectors. Their tokens and seconds
 * are those of the samples and their judging, but for `first sample`: its share of the tokens. A selector without a score
 * for any sample of some answer has no rows for this arm.
 */
export function deriveArms(records: readonly AnswerRecord[]): readonly AnswerRecord[] {
  const answered = records.filter(({ error }) => error === null)
  return [...Map.groupBy(answered, ({ arm }) => arm).values()].flatMap((own) => {
    const banks = own.map((record) => ({ record, samples: samplesOf(record) }))
    if (banks.some(({ samples }) => samples.length < 2)) return []
    return Object.entries(choosersOfSamples).flatMap(([name, select]) => {
      const derived = banks.flatMap(({ record, samples }) => {
        const sample = select(samples)
        return sample === null ? [] : [deriveRecord(record, samples, { name, sample })]
      })
      return derived.length === banks.length ? derived : []
    })
  })
}

/** Returns the kept samples of an answer; none for an arm that keeps none. */
export function samplesOf({ candidates = [] }: AnswerRecord): readonly Sample[] {
  return candidates.filter(({ kind }) => kind === 'sample')
}

function deriveRecord(
  record: AnswerRecord,
  samples: readonly Sample[],
  { name, sample }: { readonly name: string; readonly sample: Sample },
): AnswerRecord {
  const share = { generatedTokens: sample.tokens, judgedTokens: record.judgedTokens / samples.length }
  return {
    ...record,
    ...(name === FIRST && share),
    arm: `${record.arm}${ARROW}${name}`,
    answer: sample.answer,
    right: sample.right,
  }
}
