/** @file Arithmetic problems: exact answers, no repetition, tuning and publishing apart. */

import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import {
  type ArithmeticProblem,
  FAMILIES,
  type Family,
  makeArithmetic,
  USES,
} from '../../../scripts/problems/arithmetic.ts'

const DIFFICULTIES = [1, 2, 3, 4, 5]
const cases = FAMILIES.flatMap((family) => DIFFICULTIES.map((difficulty) => ({ family, difficulty })))

/** Solves a question from its text alone, in another way than the generator. */
const SOLVE: Readonly<Record<Family, (question: string) => number>> = {
  sums: (question) => evaluate(question),
  products: (question) => evaluate(question.replace(' times ', ' * ')),
  facts: (question) => evaluate(question),
  equations(question) {
    const [, left = '', right = ''] =
      /(?:^|[ ])([\dxynkt()+ ]+?) = ([\dxynkt+ ]*[\dxynkt])/.exec(question) ?? []
    const at = (side: string, value: number) =>
      evaluate(
        side
          .trim()
          .replace(/(\d*)([xynkt])/, (_, factor) => `${factor || 1} * ${value}`)
          .replace(/(\d)\(/, '$1 * ('),
      )
    return (
      Array.from({ length: 100 }, (_, value) => value).find(
        (value) => at(left, value) === at(right, value),
      ) ?? -1
    )
  },
  divisors(question) {
    const numbers = numbersIn(question)
    const least = Math.min(...numbers)
    if (/divisor|divides/.test(question)) {
      for (let divisor = least; ; divisor--)
        if (numbers.every((number) => number % divisor === 0)) return divisor
    }
    for (let multiple = 1; ; multiple++)
      if (numbers.every((number) => multiple % number === 0)) return multiple
  },
  shopping(question) {
    const bought = [...question.matchAll(/(\d+) \w+ at \$(\d+) each/g)]
    const total = bought.reduce((sum, [, count, price]) => sum + Number(count) * Number(price), 0)
    const amount = (pattern: RegExp) => Number(pattern.exec(question)?.[1] ?? 0)
    const pays = total - amount(/takes \$(\d+) off/) - (total * amount(/of (\d+)% on/)) / 100
    const note = amount(/from \$(\d+)/)
    return note === 0 ? pays : note - pays
  },
}

function numbersIn(text: string): number[] {
  return (text.match(/\d+/g) ?? []).map(Number)
}

function evaluate(text: string): number {
  const [chain = ''] = /[\d(][\d+*() -]*/.exec(text) ?? []
  return Function(`return ${chain}`)() as number
}

describe.each(cases)('$family of difficulty $difficulty', ({ family, difficulty }) => {
  const make = (options: object = {}): ArithmeticProblem[] =>
    makeArithmetic({ family, difficulty, use: 'tuning', count: 60, seed: 7, ...options })

  test('has exact answers, which are whole numbers from 0 on', () => {
    for (const { question, answer } of USES.flatMap((use) => make({ use }))) {
      expect(answer).toMatch(/^\d+$/)
      expect(String(SOLVE[family](question)), question).toBe(answer)
    }
  })

  test('does not repeat itself, and shares no problem between tuning and publishing under any seeds', () => {
    // Numbers and signs without words; the factors of a product in one order.
    const keyOf = ({ question }: ArithmeticProblem) =>
      family === 'products'
        ? numbersIn(question)
            .sort((one, other) => one - other)
            .join()
        : question.replaceAll(/[^-+\d%()=]+/g, ' ')
    const tuning = make()
    expect(new Set(tuning.map(({ question }) => question)).size).toBe(60)
    const known = new Set([1, 2, 3].flatMap((seed) => make({ seed })).map(keyOf))
    const published = [4, 5].flatMap((seed) => make({ seed, use: 'publishing' }))
    expect(published.filter((problem) => known.has(keyOf(problem)))).toEqual([])
  })

  test('has 300 problems and more for either use', () => {
    for (const use of USES) expect(make({ use, count: 300 })).toHaveLength(300)
  })

  test('depends on the seed alone, and a larger count only adds', () => {
    expect(make({ count: 20 })).toEqual(make().slice(0, 20))
    expect(make({ seed: 8 })).not.toEqual(make())
    expect(make()[0]).toMatchObject({
      id: `${family}-${difficulty}-tuning-7-1`,
      family: `${family}-${difficulty}`,
    })
  })
})

test('a family that is exhausted is named', () => {
  expect(() =>
    makeArithmetic({ family: 'divisors', difficulty: 1, use: 'tuning', count: 9999, seed: 1 }),
  ).toThrow(/expected a count up to about \d+ of divisors-1 for tuning, got 9999/)
})

describe('scripts/problems.ts', () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, ['scripts/problems.ts', ...args], { encoding: 'utf8', stdio: 'pipe' })

  test('prints every family and difficulty as JSON lines', () => {
    const lines = run('--family', 'all', '--difficulty', '1,3', '--count', '2', '--use', 'publishing')
      .trim()
      .split('\n')
    expect(lines).toHaveLength(24)
    expect(JSON.parse(lines[0] ?? '')).toEqual(
      makeArithmetic({ family: 'sums', difficulty: 1, use: 'publishing', count: 2, seed: 1 })[0],
    )
  })

  test.each([
    [['--family', 'sum'], '--family: expected sums, products, equations, divisors, shopping, facts, got sum'],
    [['--family', 'sums', '--difficulty', '6'], '--difficulty: expected 1, 2, 3, 4, 5, got 6'],
    [['--family', 'sums', '--use', 'test'], '--use: expected tuning, publishing, got test'],
    [['--family', 'sums', '--split', 'train'], '--split: expected no --family beside it'],
    [['--use', 'tuning'], '--use: expected --family beside it'],
  ])('refuses %j in one line', (args, message) => {
    expect(() => run(...args)).toThrow(message)
  })
})
