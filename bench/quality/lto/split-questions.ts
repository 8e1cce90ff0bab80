/** @file Splits questions into those to train on, to calibrate on, and to hold out. */

import { createHash } from 'node:crypto'

/** Indices of answers, ascending, by part. */
export interface Split {
  readonly train: readonly number[]
  readonly calibration: readonly number[]
  readonly heldOut: readonly number[]
}

/** Share of all questions, and lower bound on their number, of each part. */
const HELD_OUT = { share: 0.2, min: 10 }
const CALIBRATION = { share: 0.1, min: 10 }
const MIN_TRAINING_QUESTIONS = 20

/** Number of questions below which `splitQuestions` returns null. */
const MIN_QUESTIONS = HELD_OUT.min + CALIBRATION.min + MIN_TRAINING_QUESTIONS

/**
 * Splits answers by question, so that no question is in two parts: 70 % to train, 10 % to calibrate (and to
 * stop training), 20 % held out, the latter two of 10 questions or more.
 *
 * The part of a question depends on its text alone. Questions that differ only in white space are the same.
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

/** Identity of a question: its text in NFC, with runs of white space as one space. */
function questionKey(question: string): string {
  return question.normalize('NFC').trim().replaceAll(/\s+/g, ' ')
}

/** Place of a question, uniform in [0, 1), from a hash of its text. */
function placeOf(question: string): number {
  return createHash('sha256').update(question).digest().readUIntBE(0, 6) / 2 ** 48
}
