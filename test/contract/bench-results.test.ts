/** @file Records in bench/results have one form, and the tables of README.md and docs/benchmarks.md print their figures. */

import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { expect, onTestFinished, test } from 'vitest'
import { describeMachine } from '#evaluation'
import { updateRecords, writeRecords } from '../../bench/report/records.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const Label = Type.Union([Type.String(), Type.Number()])
const RecordSchema = Type.Object(
  {
    bench: Type.String({ minLength: 1 }),
    part: Type.String({ minLength: 1 }),
    case: Type.Record(Type.String(), Label),
    seeds: Type.Array(Type.Integer()),
    n: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    figures: Type.Record(Type.String(), Type.Unknown(), { minProperties: 1 }),
    settings: Type.Optional(Type.Object({})),
    machine: Type.Object({
      processor: Type.String(),
      cores: Type.Integer({ minimum: 1 }),
      memoryGiB: Type.Number(),
      kernel: Type.String(),
      node: Type.String(),
      onnxruntime: Type.String(),
    }),
    commit: Type.Optional(Type.String({ pattern: '^([0-9a-f]{7,40}|no git)$' })),
    date: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' })),
  },
  { additionalProperties: false },
)
type BenchRecord = Type.Static<typeof RecordSchema>
const schema = Compile(RecordSchema)

const results = new Map(
  globSync('bench/results/*.jsonl', { cwd: ROOT }).map((path) => [
    basename(path, '.jsonl'),
    read(path)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as BenchRecord),
  ]),
)

test.each([...results])('bench/results/%s.jsonl: every line is a record of its bench', (bench, records) => {
  for (const record of records) {
    expect([...schema.Errors(record)], JSON.stringify(record).slice(0, 200)).toEqual([])
    expect(record.bench).toBe(bench)
  }
  const keys = records.map(({ part, case: labels }) => JSON.stringify([part, labels]))
  expect(new Set(keys).size).toBe(keys.length)
})

test('a run writes records of the same form, and replaces only the parts that it measured', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-records-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'some.jsonl')
  const run = { bench: 'some', machine: describeMachine(), seeds: [1, 2] }
  const measured = (part: string, value: number) => ({
    part,
    case: { arm: '**bold**' },
    n: 3,
    figures: { value },
  })
  await writeRecords(file, run, [measured('first', 1), { ...measured('second', 2), seeds: [2] }])
  await updateRecords(file, run, [measured('first', 5)])
  const records = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as BenchRecord)
  for (const record of records) expect([...schema.Errors(record)]).toEqual([])
  expect(records.map(({ part, seeds, figures }) => [part, seeds, figures['value']])).toEqual([
    ['second', [2], 2],
    ['first', [1, 2], 5],
  ])
  expect(records[0]?.case).toEqual({ arm: 'bold' })
})

interface Table {
  readonly title: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Tables of Markdown, each with the last heading above it. */
function tablesOf(markdown: string): readonly Table[] {
  const tables: { title: string; header: readonly string[]; rows: (readonly string[])[] }[] = []
  let title = ''
  let open = false
  for (const line of markdown.split('\n')) {
    if (line.startsWith('#')) title = line.replace(/^#+ /, '')
    if (!line.startsWith('|')) {
      open = false
      continue
    }
    const cells = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('**', '').trim())
    if (!open) tables.push({ title, header: cells, rows: [] })
    else if (!cells.every((cell) => /^-+$/.test(cell))) tables.at(-1)?.rows.push(cells)
    open = true
  }
  return tables
}

/** Every form in which a table prints a value of a record. */
function printed(value: unknown): string[] {
  if (value === null) return ['', '-']
  if (typeof value === 'string') return [value]
  if (typeof value === 'number') {
    const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3
    return [String(value), ...[2, 6, digits].map((count) => value.toFixed(count)), value.toExponential(1)]
  }
  if (typeof value !== 'object') return []
  const fields = value as Readonly<Record<string, unknown>>
  const forms = Object.values(fields).flatMap(printed)
  if (typeof fields['overProblems'] === 'number') forms.push(withErrors(fields))
  if (typeof fields['peakMiB'] === 'number') {
    forms.push(`${Math.round(fields['peakMiB'])} (${Math.round(Number(fields['trainingMiB']))})`)
  }
  return forms
}

function withErrors({ value, overProblems, overSeeds }: Readonly<Record<string, unknown>>): string {
  const digits = Math.abs(Number(value)) >= 10 ? 1 : 3
  const errors = [overProblems, ...(overSeeds === null ? [] : [overSeeds])]
  const brackets = errors.map((error) => Number(error).toFixed(digits)).join(', ')
  return `${Number(value).toFixed(digits)} (${brackets})`
}

const forms = new Map(
  [...results.values()]
    .flat()
    .map((record) => [
      record,
      new Set(['', '-', ...[record.case, record.figures, record.n].flatMap(printed)]),
    ]),
)

/** Sections of docs/benchmarks.md by the results they print. */
const SECTIONS = {
  'npm run bench:quality`': 'quality',
  'npm run bench:quality -- --lto`': 'lto',
  'npm run bench:evolve`': 'evolve',
  'npm run bench:training -- --python PATH`': 'training',
  'npm run bench:service`': 'service',
  'npm run bench:decode-speed -- --model DIR`': 'decode-speed',
  'npm run bench:first-token`': 'first-token',
  'npm run bench:retrieval`': 'retrieval',
  'npm run bench:night-loop`': 'night-loop',
  'npm run bench:gate`': 'gate',
  'npm run bench:judge`': 'judge',
  'npm run bench:recurrent`': 'recurrent',
}

test('every file of results has its section in docs/benchmarks.md', () => {
  expect(Object.values(SECTIONS).toSorted()).toEqual([...results.keys()].toSorted())
})

test.each(Object.entries(SECTIONS))('docs/benchmarks.md, %s: each row is a record', (command, bench) => {
  const section = read('docs/benchmarks.md')
    .split(/^(?=## )/m)
    .find((text) => text.slice(0, text.indexOf('\n')).includes(command))
  expect(section).toContain(`../bench/results/${bench}.jsonl`)
  const records = results.get(bench) ?? []
  const tables = tablesOf(section ?? '')
  expect(tables.length).toBeGreaterThan(1)
  for (const { title, rows } of tables) {
    for (const row of rows.filter(([label]) => label !== 'mean')) {
      const found = records.some((record) => row.every((cell) => forms.get(record)?.has(cell)))
      expect(found, `${title}: ${row.join(' | ')}`).toBe(true)
    }
  }
})

test('docs/benchmarks.md: the row of means of the transfer table is the mean of its records', () => {
  const rows = tablesOf(read('docs/benchmarks.md')).flatMap(({ rows }) => rows)
  const [row] = rows.filter(([label]) => label === 'mean')
  const records = (results.get('lto') ?? []).filter(({ part }) => part === 'transfer')
  const means = ['own', 'mixedAsMany', 'mixed', 'sameHalf', 'otherHalf'].map(
    (name) => records.reduce((sum, { figures }) => sum + Number(figures[name]), 0) / records.length,
  )
  expect(row?.slice(1)).toEqual(means.map((mean) => mean.toFixed(3)))
})

/** Rows of README's table of strategies, by the arm of the quality bench that they print. */
const README_ROWS: readonly (readonly [label: RegExp, arm: string])[] = [
  [/^greedy$/, 'greedy'],
  [/^majority of 8$/, 'majority of 8'],
  [/^latentseek$/, 'latentseek'],
  [/^auto, 300 /, 'auto, 300 remembered'],
]

test('README.md: the table of strategies prints the records of bench:quality and --lto', () => {
  const table = tablesOf(read('README.md')).find(({ header }) => header.includes('optimiser steps'))
  expect(table?.header.slice(1)).toEqual([
    'accuracy',
    'optimiser steps',
    'answers judged after the draft',
    'tokens generated',
  ])
  const arms = (results.get('quality') ?? []).filter(({ part }) => part === 'arms')
  const figuresOf = (arm: string) => arms.find(({ case: labels }) => labels['arm'] === arm)?.figures ?? {}
  for (const [label = '', ...cells] of table?.rows ?? []) {
    const name = label.replaceAll('`', '')
    const isLto = name.startsWith('lto ')
    const arm = isLto ? 'majority of 8' : README_ROWS.find(([pattern]) => pattern.test(name))?.[1]
    expect(arm, `a record for "${name}"`).toBeDefined()
    const { accuracy, steps, evaluations, generatedTokens } = figuresOf(arm ?? '')
    // The samples of `lto` are those of `majority`; only the choice among them differs.
    const chosen = isLto ? ltoAccuracy() : accuracy
    const figures = [chosen, steps, evaluations, generatedTokens]
    expect(cells, name).toEqual(figures.map((figure, index) => asInReadme(Number(figure), cells[index]!)))
  }
  expect(table?.rows.length).toBe(README_ROWS.length + 1)
})

/** Rows of README's table of a real model, by the strategy of the bench of kept answers that they print. */
const REAL_ROWS: Readonly<Record<string, string>> = {
  greedy: 'greedy',
  'majority of 8': 'majority of 8, ties by log-probability',
  "best of 8 by the model's own verdict": 'best of 8 by verifier',
  'best of 8 by log-probability': 'best of 8 by log-probability',
  'auto, effort low': 'vote of draft and up to 4, until 3 agree',
  auto: 'vote of draft and up to 8, until 3 agree',
}

test('README.md: the table of a real model prints the records of bench:judge', () => {
  const table = tablesOf(read('README.md')).find(({ header }) => header.includes('minus `greedy`'))
  const records = (results.get('judge') ?? []).filter(({ part }) => part === 'untrained')
  const signed = (value: number) => `${value > 0 ? '+' : ''}${value.toFixed(3)}`
  for (const [label = '', ...cells] of table?.rows ?? []) {
    const name = label.replaceAll(/[`*]/g, '')
    const figures = records.find(({ case: labels }) => labels['strategy'] === REAL_ROWS[name])?.figures
    expect(figures, name).toBeDefined()
    const { accuracy, tokens, toGreedy } = figures as {
      accuracy: number
      tokens: number
      toGreedy: { value: number; low: number; high: number }
    }
    const { value, low, high } = toGreedy
    const difference = name === 'greedy' ? '-' : `${signed(value)} (${signed(low)} to ${signed(high)})`
    expect(cells, name).toEqual([accuracy.toFixed(3), difference, tokens.toFixed(0)])
  }
  expect(table?.rows.length).toBe(Object.keys(REAL_ROWS).length)
})

function ltoAccuracy(): unknown {
  const arms = (results.get('lto') ?? []).filter(({ part }) => part === 'selection')
  return arms.find(({ case: labels }) => String(labels['arm']).endsWith('through the solver'))?.figures[
    'value'
  ]
}

/** The figure with as many decimals as `cell` has, and without a leading zero. */
function asInReadme(figure: number, cell: string): string {
  const decimals = cell.split('.')[1]?.length ?? 0
  return figure.toFixed(decimals).replace(/^(-?)0\./, '$1.')
}
