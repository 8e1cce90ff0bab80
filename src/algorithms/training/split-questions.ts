/** @file Which questions are trained on, calibrated on, and held out. */

import { createHash } from 'node:crypto'

export interface Split {
  /** Indices of answers. */
  readonly train: readonly number[]
  readonly calibration: readonly number[]
  readonly heldOut: readonly number[]
}

/** Shares of all questions, and how many there are at least. */
const HELD_OUT = { share: 0.2, min: 10 }
const CALIBRATION = { share: 0.1, min: 10 }
const MIN_TRAINING_QUESTIONS = 20

/** Questions below which `splitQuestions` refuses. */
export const MIN_QUESTIONS = HELD_OUT.min + CALIBRATION.min + MIN_TRAINING_QUESTIONS

/**
 * Splits answers by question, so that no question is on two sides: 70 % to train, 10 % to calibrate (and to stop training), 20 %
 * held out, the latter two of 10 questions or more.
 *
 * Where a question falls depends on its text alone, not on a seed, the day or what else was asked: a fifth of all possible questions
 * is held out from every night, so what serves already never knows one of them when it is compared with its rival. (Where fewer than
 * 10 of those were asked, the next ones make up the number; a night of other questions may have trained on these.) The same
 * question is the same however it is spaced.
 *
 * @returns null for fewer than 40 questions.
 */
export function splitQuestions(questions: readonly string[]): Split | null {
  const ranked = [...Map.groupBy(questions.keys(), (index) => questionKey(questions[index]!))]
    .map(([question, answers]) => ({ place: placeOf(question), answers }))
    .sort((a, b) => a.place - b.place)
  if (ranked.length < MIN_QUESTIONS) return null
  const below = (place: number) => ranked.findLastIndex((question) => question.place < place) + 1
  const heldOut = Math.max(HELD_OUT.min, below(HELD_OUT.share))
  const calibration = Math.max(heldOut + CALIBRATION.min, below(HELD_OUT.share + CALIBRATION.share))
  const answers = (from: number, to: number) =>
    ranked
      .slice(from, to)
      .flatMap((question) => question.answers)
      .sort((a, b) => a - b)
  return {
    heldOut: answers(0, heldOut),
    calibration: answers(heldOut, calibration),
    train: answers(calibration, ranked.length),
  }
}

/** What tells questions apart: their text, without the differences that nobody sees. */
function questionKey(question: string): string {
  return question.normalize('NFC').trim().replaceAll(/\s+/g, ' ')
}

/** How many questions there are among them, as `splitQuestions` counts. */
export function countQuestions(questions: readonly string[]): number {
  return new Set(questions.map(questionKey)).size
}

/** Uniform in [0, 1), from the question's text. */
function placeOf(question: string): number {
  return createHash('sha256').update(question).digest().readUIntBE(0, 6) / 2 ** 48
}
