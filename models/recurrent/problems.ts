/**
 * @file Problems of the bundled recurrent model's task, "follow the chain" (task.py is the Python side).
 *
 * Three families: "sum : 3 + 4 * 2 - 1 = ?" (left to right, modulo 5), "ball : b ab cd ae ?" (the ball's place after
 * the cups' swaps), "walk : b > ^ < > ?" (around a ring of five places: on, opposite, back). The answer is the end of the
 * chain.
 */

import { createHash } from 'node:crypto'
import { createRandom, type Random } from '#tensor'

export const families = ['sum', 'ball', 'walk'] as const

export type Family = (typeof families)[number]

/** `train`: questions that training may use; `heldout`: never used, of the same depths; `unseen`: never used and deeper. */
export type Split = 'train' | 'heldout' | 'unseen'

export interface Problem {
  /** Text that a person types. */
  readonly question: string
  /** Digit or place, as `/solve` returns it. */
  readonly answer: string
  readonly family: Family
  /** Number of sequential operations. */
  readonly depth: number
}

export const splits = ['train', 'heldout', 'unseen'] as const satisfies readonly Split[]

/** Shortest and longest chain of a split. */
export const depths: Readonly<Record<Split, readonly [number, number]>> = {
  train: [1, 12],
  heldout: [1, 12],
  unseen: [13, 16],
}

const PLACES = [...'abcde']
const DIGITS = [...'01234']
const FACTORS = [...'234']

/** Returns whether a question is in the fifth that no training text uses. */
export function isHeldOut(question: string): boolean {
  return createHash('sha256').update(question).digest().readUInt32BE(0) % 5 === 0
}

/**
 * Returns `count` problems; the same options give the same problems, and a larger count only adds to them.
 *
 * @param options.families families to draw from; all unless given.
 */
export function makeProblems(options: {
  readonly split: Split
  readonly count: number
  readonly seed: number
  readonly families?: readonly Family[]
}): Problem[] {
  const { split, count, seed } = options
  const random = createRandom(seed, splits.indexOf(split))
  return Array.from({ length: count }, () => makeProblem(random, split, options.families ?? families))
}

function makeProblem(random: Random, split: Split, from: readonly Family[]): Problem {
  const [shortest, longest] = depths[split]
  for (;;) {
    const family = pick(random, from)
    const depth = shortest + Math.floor(random.uniform() * (longest - shortest + 1))
    const question = makers[family](random, depth)
    if (isHeldOut(question) !== (split !== 'train')) continue
    return { question, answer: solve(question), family, depth }
  }
}

const makers: Readonly<Record<Family, (random: Random, depth: number) => string>> = {
  sum(random, depth) {
    const operations = Array.from({ length: depth }, () => {
      const operator = pick(random, ['+', '-', '*'])
      // Multiplication by 2, 3 and 4 loses nothing modulo 5, so the whole chain counts.
      return `${operator} ${operator === '*' ? pick(random, FACTORS) : pick(random, DIGITS)}`
    })
    return `sum : ${pick(random, DIGITS)} ${operations.join(' ')} = ?`
  },
  ball(random, depth) {
    const swaps = Array.from({ length: depth }, () => shuffle(random, PLACES).slice(0, 2).join(''))
    return `ball : ${pick(random, PLACES)} ${swaps.join(' ')} ?`
  },
  walk(random, depth) {
    const steps = Array.from({ length: depth }, () => pick(random, ['>', '<', '^']))
    return `walk : ${pick(random, PLACES)} ${steps.join(' ')} ?`
  },
}

/** Returns the answer to a question. Throws on a text that is not a question of the task. */
export function solve(question: string): string {
  const words = question.split(' ')
  const [family] = words
  if (family === 'sum') return solveSum(words.slice(2, -2))
  if (family === 'ball') return solveBall(words[2] ?? '', words.slice(3, -1))
  if (family === 'walk') return solveWalk(words[2] ?? '', words.slice(3, -1))
  throw new Error(`solve: expected a question of ${families.join(', ')}, got ${question}`)
}

function solveSum(chain: readonly string[]): string {
  let value = Number(chain[0])
  for (let i = 1; i < chain.length; i += 2) {
    const digit = Number(chain[i + 1])
    value = chain[i] === '+' ? value + digit : chain[i] === '-' ? value - digit + 5 : value * digit
    value %= 5
  }
  return String(value)
}

function solveBall(start: string, swaps: readonly string[]): string {
  return swaps.reduce((place, swap) => (swap.includes(place) ? swap.replace(place, '') : place), start)
}

function solveWalk(start: string, steps: readonly string[]): string {
  const end = steps.reduce((at, step) => {
    const next = step === '>' ? at + 1 : step === '<' ? at + 4 : 4 - at
    return next % PLACES.length
  }, PLACES.indexOf(start))
  return PLACES[end] ?? ''
}

function shuffle<T>(random: Random, values: readonly T[]): T[] {
  const left = [...values]
  return values.map(() => left.splice(Math.floor(random.uniform() * left.length), 1)[0] as T)
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random.uniform() * values.length)] as T
}
