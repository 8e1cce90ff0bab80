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
}

type Rule = (candidate: LabelInput['candidates'][number]) => boolean | null

/**
 * Returns a label (right or wrong) and its source for every candidate of one episode, in order. A pure
 * function of the stored data, so labelling twice, or feedback before indexing, gives the same result.
 *
 * Feedback that the answer is right makes every other answer wrong. Feedback that it is wrong decides
 * nothing about the other answers; they are labelled by the next source, with the votes of the refuted
 * answer left out.
 */
export function labelCandidates({ feedback, reference, candidates }: LabelInput): readonly Labels[] {
  const chosen = candidates.find((candidate) => candidate.chosen)
  const isChosen: Rule = (candidate) =>
    candidate.chosen || (candidate.answer !== null && candidate.answer === chosen?.answer)
  const isRefuted = feedback !== null && 'correct' in feedback && !feedback.correct ? isChosen : () => false

  const voters = candidates.filter((candidate) => candidate.kind === 'sample' && !isRefuted(candidate))
  const majority = voters.length >= 2 ? majorityAnswer(voters.map(({ answer }) => answer)) : null

  const rules: readonly (readonly [LabelSource, Rule])[] = [
    ['feedback', (candidate) => byFeedback(feedback, candidate, isChosen)],
    ['reference', ({ answer }) => (reference === null ? null : answer === reference)],
    ['majority', ({ answer }) => (majority === null ? null : answer === majority)],
    ['self', ({ answer, meetsAdmission }) => answer !== null && meetsAdmission],
  ]
  return candidates.map((candidate) => {
    for (const [labelSource, rule] of rules) {
      const label = rule(candidate)
      if (label !== null) return { label, labelSource }
    }
    return { label: null, labelSource: null }
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

/**
 * Returns the answer with the most votes; null when there is no answer or two answers share the most votes.
 */
function majorityAnswer(answers: readonly (string | null)[]): string | null {
  const votes = new Map<string, number>()
  for (const answer of answers) if (answer !== null) votes.set(answer, (votes.get(answer) ?? 0) + 1)
  const [first, second] = [...votes].sort(([, a], [, b]) => b - a)
  return first === undefined || first[1] === second?.[1] ? null : first[0]
}
