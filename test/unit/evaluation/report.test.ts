/** @file Figures, tables and the chart of an evaluation, on answers whose figures are known. */

import { describe, expect, test } from 'vitest'
import { createReport, describeMachine, drawAccuracy, parseArm, reportMarkdown } from '#evaluation'
import { armFigures, pairedDifference, wilson } from '../../../src/evaluation/statistics.ts'
import { recordOf, reportHead } from '../../support/evaluations.ts'

test('Wilson’s interval is the published one', () => {
  // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
  for (const [right, n, low, high] of [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ] as const) {
    const interval = wilson(right / n, n)
    expect(interval.low).toBeCloseTo(low, 4)
    expect(interval.high).toBeCloseTo(high, 4)
  }
})

/** Answers of one arm: `rights[p][s]` is problem p under seed s. */
const answersOf = (arm: string, rights: readonly (readonly number[])[]) =>
  rights.flatMap((own, problem) =>
    own.map((right, run) => recordOf({ arm, problem: `${problem}`, run, right: right === 1 })),
  )

describe('figures of an arm', () => {
  const figures = armFigures(
    answersOf('a', [
      [1, 1],
      [1, 0],
      [0, 0],
      [1, 0],
    ]),
  )

  test('accuracy counts every problem once, the sd is over seeds', () => {
    expect(figures?.accuracy).toMatchObject({ value: 0.5, n: 4, ...wilson(0.5, 4) })
    expect(figures?.answers).toBe(8)
    // .75 and .25
    expect(figures?.sdOverSeeds).toBeCloseTo(Math.SQRT1_2 / 2, 10)
  })

  test('seeds that answered other problems are compared on those that all answered', () => {
    const part = answersOf('a', [[1, 1], [0]])
    expect(armFigures(part)?.sdOverSeeds).toBe(0)
    expect(armFigures(answersOf('a', [[1]]))?.sdOverSeeds).toBeNull()
  })

  test('tokens per second are those of the time in which a request was in progress', () => {
    const busy = [
      recordOf({ at: 0, seconds: 2, generatedTokens: 30 }),
      recordOf({ at: 1000, seconds: 2, generatedTokens: 30 }),
      recordOf({ at: 60_000, seconds: 1, generatedTokens: 20 }),
    ]
    expect(armFigures(busy)?.tokensPerSecond).toBe(20)
  })

  test('answers that a limit ended, and problems that could not be asked', () => {
    const some = [
      recordOf({ stopped: 'maxNewTokens' }),
      recordOf({ stopped: 'maxMs' }),
      recordOf({ error: 'PROMPT_TOO_LONG', right: false }),
      recordOf({}),
    ]
    expect(armFigures(some)).toMatchObject({ cut: 0.5, errors: 1 })
    expect(armFigures([])).toBeNull()
  })
})

describe('paired differences', () => {
  const base = answersOf(
    'a',
    Array.from({ length: 40 }, (_, index) => [index % 2]),
  )

  test('pool seeds by problem, on the problems that both answered', () => {
    const ours = answersOf(
      'b',
      Array.from({ length: 60 }, (_, index) => [1, index % 2]),
    )
    const difference = pairedDifference(ours, base)
    expect(difference).toMatchObject({ value: 0.25, n: 40 })
    expect(difference?.low).toBeGreaterThan(0.15)
    expect(difference?.low).toBeLessThan(0.25)
    expect(difference?.high).toBeLessThan(0.35)
  })

  test('are narrower than those of independent arms: equal arms differ by nothing', () => {
    expect(pairedDifference(base, base)).toMatchObject({ value: 0, low: 0, high: 0 })
  })

  test('have no interval for few problems, and are null for none', () => {
    expect(pairedDifference(base.slice(0, 5), base)?.low).toBeUndefined()
    expect(pairedDifference([], base)).toBeNull()
  })
})

describe('the report', () => {
  const settings = [parseArm('greedy'), parseArm('name=a<b|c:lto')]
  const records = [
    ...answersOf('greedy', [[1], [0]]).map((record) => ({ ...record, family: 'sums' })),
    ...answersOf('a<b|c', [[1], [1]]).map((record) => ({ ...record, family: 'sums', generatedTokens: 900 })),
  ]
  const report = createReport(
    {
      title: 'Evaluation of a & b',
      problems: { file: 'p.jsonl', sha256: 'ab'.repeat(32), count: 3 },
      seeds: [1],
      concurrency: 4,
      machine: describeMachine(),
      settings,
      total: 6,
    },
    records,
  )

  test('has arms in their order, the difference to the first, and families', () => {
    expect(report.arms.map(({ arm }) => arm)).toEqual(['greedy', 'a<b|c'])
    expect(report.arms.map(({ difference }) => difference?.value)).toEqual([undefined, 0.5])
    expect(report.families['sums']).toHaveLength(2)
  })

  test('in Markdown: says what is missing, escapes pipes, has every table', () => {
    const text = reportMarkdown(report)
    expect(text).toContain('**Not complete: 4 of 6 answers are there.**')
    expect(text).toContain('| a<b\\|c | 2 | 1.000 | 0.342 to 1.000 | - | +0.500 | - | 900.0 | 1.0 |')
    expect(text).toContain('## sums')
    expect(text).not.toMatch(/NaN|undefined|null/)
    for (const table of text.split('\n\n').filter((part) => part.startsWith('|'))) {
      const columns = table
        .trim()
        .split('\n')
        .map((line) => line.replaceAll('\\|', '').split('|').length)
      expect(new Set(columns).size).toBe(1)
    }
  })

  test('as SVG: a point with its interval per arm, escaped, for light and dark', () => {
    const svg = drawAccuracy(report.title, report.arms)
    expect(svg.match(/<path d="M/g)).toHaveLength(2)
    expect(svg).toContain('a&lt;b|c: 1.00 (0.34 to 1.00), n = 2')
    expect(svg).toContain('Evaluation of a &amp; b')
    expect(svg).toContain('prefers-color-scheme:dark')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  })

  test('as SVG without an answer: an empty chart', () => {
    expect(drawAccuracy('nothing', [])).not.toMatch(/NaN|undefined|Infinity/)
  })
})

test('all arms are compared with the one that is named', () => {
  const records = [...answersOf('a', [[1], [0]]), ...answersOf('b', [[1], [1]])]
  const head = reportHead(['name=a:greedy', 'name=b:greedy'])
  const differences = (against?: string) =>
    createReport({ ...head, ...(against !== undefined && { against }) }, records).arms.map(
      ({ difference }) => difference?.value ?? null,
    )
  expect(differences()).toEqual([null, 0.5])
  expect(differences('b')).toEqual([-0.5, null])
  expect(reportMarkdown(createReport({ ...head, against: 'b' }, records))).toContain('| minus b |')
})
