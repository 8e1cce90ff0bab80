/**
 * @file Prints problems of the bundled model's task as JSON lines `{question, answer, family}`.
 *
 * `npm run --silent problems -- --split train|heldout|unseen --count N --seed S`
 */

import { parseArgs } from 'node:util'
import { makeProblems, type Split, splits } from '../models/order-of-operations/problems.ts'

try {
  const { values } = parseArgs({
    options: {
      split: { type: 'string', default: 'heldout' },
      count: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
    },
  })
  if (!isSplit(values.split)) throw new Error(`--split: expected ${splits.join(', ')}, got ${values.split}`)
  const count = wholeNumber('--count', values.count)
  const seed = wholeNumber('--seed', values.seed)
  for (const problem of makeProblems({ split: values.split, count, seed })) {
    process.stdout.write(`${JSON.stringify(problem)}\n`)
  }
} catch (error) {
  process.stderr.write(`problems: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

function isSplit(text: string): text is Split {
  return splits.some((split) => split === text)
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Error(`${option}: expected a whole number, got ${text}`)
  }
  return value
}
