/**
 * @file Prints problems as JSON lines `{question, answer, family}`, for `npm run eval` and for trying the service.
 *
 * Of the bundled model's task: `npm run --silent problems -- --split train|heldout|unseen --count N --seed S`
 *
 * Arithmetic for other models: `npm run --silent problems -- --family sums,products,equations,divisors,shopping,facts|all
 * --difficulty 1,2,3,4,5 --use tuning|publishing --count N --seed S`, N of every family and difficulty
 */

import { parseArgs } from 'node:util'
import { makeProblems, splits } from '../models/order-of-operations/problems.ts'
import { FAMILIES, MAX_DIFFICULTY, makeArithmetic, USES } from './problems/arithmetic.ts'

const DIFFICULTIES = Array.from({ length: MAX_DIFFICULTY }, (_, index) => String(index + 1))

try {
  const { values } = parseArgs({
    options: {
      split: { type: 'string' },
      family: { type: 'string' },
      difficulty: { type: 'string' },
      use: { type: 'string' },
      count: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
    },
  })
  const count = wholeNumber('--count', values.count)
  const seed = wholeNumber('--seed', values.seed)
  for (const problem of values.family === undefined ? ofBundledModel() : arithmetic(values.family)) {
    process.stdout.write(`${JSON.stringify(problem)}\n`)
  }

  function ofBundledModel() {
    for (const name of ['difficulty', 'use'] as const) {
      if (values[name] !== undefined) throw new Error(`--${name}: expected --family beside it, got none`)
    }
    return makeProblems({ split: oneOf('--split', values.split ?? 'heldout', splits), count, seed })
  }

  function arithmetic(list: string) {
    if (values.split !== undefined) throw new Error('--split: expected no --family beside it, got one')
    const use = oneOf('--use', values.use ?? 'tuning', USES)
    const families =
      list === 'all' ? FAMILIES : list.split(',').map((name) => oneOf('--family', name, FAMILIES))
    const difficulties = (values.difficulty ?? '1').split(',')
    return families.flatMap((family) =>
      difficulties.flatMap((text) => {
        const difficulty = Number(oneOf('--difficulty', text, DIFFICULTIES))
        return makeArithmetic({ family, difficulty, use, count, seed })
      }),
    )
  }
} catch (error) {
  process.stderr.write(`problems: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

function oneOf<const Word extends string>(option: string, text: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === text)
  if (word === undefined) throw new Error(`${option}: expected ${words.join(', ')}, got ${text}`)
  return word
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Error(`${option}: expected a whole number, got ${text}`)
  }
  return value
}
