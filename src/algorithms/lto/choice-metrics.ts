/** @file Measures of a score by its use: ordering the answers of one question, and choosing one of them. */

interface ScoredLabel {
  readonly score: number
  readonly correct: boolean
}

export interface QuestionAnswers {
  readonly answers: readonly (ScoredLabel & {
    /** Final answer, normalised; null when there is none. */
    readonly answer: string | null
  })[]
}

/** Scores and labels of the answers to one question. */
interface QuestionScores {
  readonly answers: readonly ScoredLabel[]
}

/**
 * Share of the question's (right, wrong) pairs that the scores order correctly, a tie counting one half. NaN
 * without both classes.
 */
export function withinQuestionAuc({ answers }: QuestionScores): number {
  const right = answers.filter(({ correct }) => correct)
  const wrong = answers.filter(({ correct }) => !correct)
  let ordered = 0
  for (const { score: better } of right) {
    for (const { score: worse } of wrong) ordered += better > worse ? 1 : better === worse ? 0.5 : 0
  }
  return ordered / (right.length * wrong.length)
}

/** Probability that the answer with the highest score is right; answers with equal scores share the choice. */
export function choiceAccuracy({ answers }: QuestionScores): number {
  const best = answers.reduce((most, { score }) => Math.max(most, score), Number.NEGATIVE_INFINITY)
  const chosen = answers.filter(({ score }) => score === best)
  return chosen.filter(({ correct }) => correct).length / chosen.length
}

/** Probability that the most frequent answer is right; equally frequent ones share the choice. */
export function majorityAccuracy({ answers }: QuestionAnswers): number {
  const groups = [...Map.groupBy(answers, ({ answer }) => answer)].filter(([answer]) => answer !== null)
  const most = groups.reduce((largest, [, own]) => Math.max(largest, own.length), 0)
  const chosen = groups.filter(([, own]) => own.length === most)
  return chosen.filter(([, own]) => own[0]!.correct).length / Math.max(1, chosen.length)
}
