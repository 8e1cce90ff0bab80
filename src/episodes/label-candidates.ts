/**
 * @file The sources of labels, in order of trust: feedback, reference answer, majority of samples,
 * self-reward.
 */

import type { Candidate, Feedback, LabelSource } from './episode.ts'

/**
 * Whether a label was given by a caller, rather than derived from the model's samples or from self-reward.
 */
export function isTrustedLabel(source: LabelSource | null): boolean {
  return source === 'feedback' || source === 'reference'
}

export interface LabelInput {
  readonly feedback: Feedback | null
  readonly reference: string | null
  readonly candidates: readonly Pick<Candidate, 'kind' | 'answer' | 'chosen' | 'meetsAdmission'>[]
}

export interface Labels {
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
  /** Share of the samples that agree, for a majority; 1 for other sources; null without a label. */
  readonly labelWeight: number | null
}

type Rule = (candidate: LabelInput['candidates'][number]) => boolean | null

/**
 * Returns a label (right or wrong) and its source for every candidate of one episode, in order. A pure
 * function of the stored data, so labelling twice, or feedback before indexing, gives the same result.
 *
 * Feedback that the answer is right makes every other answer wrong. Feedback that it is wrong decides
 * nothing about the other answers; they are labelled by the next source, with the votes of the refuted
 * answer left out. A majority is an answer of at least half of all samples, those without an answer included.
 */
export function labelCandidates({ feedback, reference, candidates }: LabelInput): readonly Labels[] {
  const chosen = candidates.find((candidate) => candidate.chosen)
  const isChosen: Rule = (candidate) =>
    candidate.chosen || (candidate.answer !== null && candidate.answer === chosen?.answer)
  const isRefuted = feedback !== null && 'correct' in feedback && !feedback.correct ? isChosen : () => false

  const samples = candidates.filter((candidate) => candidate.kind === 'sample')
  const votes = samples.filter((candidate) => !isRefuted(candidate)).map(({ answer }) => answer)
  const majority = samples.length >= 2 ? findMajority(votes, samples.length) : null

  const rules: readonly (readonly [LabelSource, Rule])[] = [
    ['feedback', (candidate) => byFeedback(feedback, candidate, isChosen)],
    ['reference', ({ answer }) => (reference === null ? null : answer === reference)],
    ['majority', ({ answer }) => (majority === null ? null : answer === majority.answer)],
    ['self', ({ answer, meetsAdmission }) => answer !== null && meetsAdmission],
  ]
  const weightOf = (source: LabelSource) => (source === 'majority' ? (majority?.share ?? null) : 1)
  return candidates.map((candidate) => {
    for (const [labelSource, rule] of rules) {
      const label = rule(candidate)
      if (label === null) continue
      return { label, labelSource, labelWeight: weightOf(labelSource) }
    }
    return { label: null, labelSource: null, labelWeight: null }
  })
}

function byFeedback(
  feedback: Feedback | null,
  candidate: Parameters<Rule>[0],
  isChosen: Rule,
): boolean | null {
  if (feedback === null) return null
  if ('answer' in feedback) return candidate.answer === feedback.answer
  if (feedback.correct) return isChosen(candidate)
  return isChosen(candidate) ? false : null
}

const MIN_MAJORITY_SHARE = 0.5

/**
 * Returns the answer of at least half of the samples, and its share of them; null when there is none, or when
 * two answers have half each.
 */
function findMajority(
  votes: readonly (string | null)[],
  samples: number,
): { readonly answer: string; readonly share: number } | null {
  const counts = new Map<string, number>()
  for (const answer of votes) if (answer !== null) counts.set(answer, (counts.get(answer) ?? 0) + 1)
  const [first, second] = [...counts].sort(([, a], [, b]) => b - a)
  if (first === undefined || first[1] === second?.[1]) return null
  const share = first[1] / samples
  return share >= MIN_MAJORITY_SHARE ? { answer: first[0], share } : null
}
