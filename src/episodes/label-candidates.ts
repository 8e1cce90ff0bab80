/** @file Where labels come from, in order of trust: the caller's word, a known answer, agreement among samples, self-reward. */

import type { Candidate, Feedback, LabelSource } from './episode.ts'

/** Whether a label is somebody's word, not a guess: of the model, or of its samples. */
export function isTrustedLabel(source: LabelSource | null): boolean {
  return source === 'feedback' || source === 'reference'
}

export interface LabelInput {
  readonly feedback: Feedback | null
  readonly reference: string | null
  readonly candidates: readonly Pick<Candidate, 'kind' | 'answer' | 'chosen' | 'admissible'>[]
}

export interface Labels {
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

type Rule = (candidate: LabelInput['candidates'][number]) => boolean | null

/**
 * Labels every candidate of one episode, in their order: right, wrong, and from what source. A pure function of what
 * is stored, so labelling twice, or feedback before indexing, comes to the same.
 *
 * An answer that was declared right makes every other answer wrong; one that was declared wrong says nothing about
 * the others, which are then judged without its votes.
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
    ['self', ({ answer, admissible }) => answer !== null && admissible],
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

/** The answer of most samples; null when nobody answered or two answers share the most votes. */
function majorityAnswer(answers: readonly (string | null)[]): string | null {
  const votes = new Map<string, number>()
  for (const answer of answers) if (answer !== null) votes.set(answer, (votes.get(answer) ?? 0) + 1)
  const [first, second] = [...votes].sort(([, a], [, b]) => b - a)
  return first === undefined || first[1] === second?.[1] ? null : first[0]
}
