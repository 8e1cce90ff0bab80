/** @file Judging, counted and told. */

import type { Answer, Evaluation } from '#algorithms'
import type { CandidateKind } from '#episodes'
import { hasCode } from '#errors'
import { type JudgedCandidate, type Run, UNJUDGED } from './run.ts'
import type { SolutionCandidate } from './types.ts'

/**
 * Judges answers in one batch and keeps them as candidates; each but the draft becomes a `candidate` event.
 * When the time is up they stay unjudged: reward -1, no terms, no candidates.
 */
export async function judgeAnswers(
  run: Run,
  kind: CandidateKind,
  answers: readonly Answer[],
): Promise<readonly Evaluation[]> {
  const judgements = await judgeInTime(run, answers)
  if (judgements === null) return answers.map((answer) => ({ answer, judgement: UNJUDGED }))
  const evaluations = answers.map((answer, index) => ({ answer, judgement: judgements[index]! }))
  for (const evaluation of evaluations) {
    const candidate: JudgedCandidate = { kind, evaluation }
    run.candidates.push(candidate)
    if (kind !== 'draft') run.emit({ event: 'candidate', data: describeCandidate(candidate) })
  }
  return evaluations
}

async function judgeInTime(run: Run, answers: readonly Answer[]) {
  if (run.signal.aborted) return null
  try {
    return await run.meter.time('rewardMs', () => run.judge.judge(answers))
  } catch (error) {
    if (hasCode(error, 'ABORTED') && run.signal.aborted) return null
    throw error
  }
}

export function describeCandidate({ kind, evaluation }: JudgedCandidate): SolutionCandidate {
  const { answer, judgement } = evaluation
  return {
    kind,
    answer: answer.answer,
    reward: judgement.reward,
    rewardTerms: judgement.terms,
    tokens: answer.tokens.length,
  }
}
