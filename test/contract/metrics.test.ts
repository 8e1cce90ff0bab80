/** @file The dashboard, the alerts and docs/operations.md use existing metrics and labels, and cover all. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '#metrics'
import { type Family, noBacklog, noPool, noTrainedModels, parseExposition } from '../support/exposition.ts'
import { SOLUTION, scriptedSolver } from '../support/http-app.ts'
import { REQUEST, solverOn, TWO_FLIPS } from '../support/solve-in-memory.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

interface Panel {
  readonly id: number
  readonly title: string
  readonly targets?: readonly { readonly expr: string }[]
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
}
interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly annotations?: { readonly runbook?: string }
}
interface RuleTest {
  readonly alert_rule_test: readonly {
    readonly alertname: string
    readonly exp_alerts: readonly unknown[]
  }[]
}

const { panels }: { panels: Panel[] } = JSON.parse(read('deploy/grafana/circadian.json'))
const rules: Rule[] = parse(read('deploy/alerts.yml')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules)
const alerts = rules.flatMap(({ alert, ...rule }) => (alert === undefined ? [] : [{ ...rule, alert }]))
const ruleTests: RuleTest[] = parse(read('deploy/alerts.test.yml')).tests
const document = read('docs/operations.md')

/** Series that the rules themselves record. */
const RECORDED = new Set(rules.flatMap(({ record }) => record ?? []))

/** Metrics and labels that Prometheus adds to every scrape. */
const SCRAPE_METRICS = new Set(['up'])
const SCRAPE_LABELS = ['instance', 'job']

let families: Map<string, Family>
beforeAll(async () => {
  const metrics = createMetrics({
    engine: solverOn(TWO_FLIPS).engine,
    trainedModels: noTrainedModels,
    dependencies: { database: () => true, queue: () => true },
    pool: noPool,
    readBacklog: noBacklog,
  })
  metrics.observeJob({ name: 'episode.index', outcome: 'completed' })
  const { solver } = scriptedSolver(async () => ({ ...SOLUTION, degraded: ['lrm', 'learning', 'retrieval'] }))
  await metrics.watch(solver).solve(REQUEST, { signal: new AbortController().signal })
  metrics.observeRequest({ method: 'GET', route: '/livez', status: 200, seconds: 0.001 })
  families = parseExposition((await metrics.expose()).text)
})

const nameOf = (family: string, { type }: Family) =>
  type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => family + suffix) : [family]
const seriesNames = () => [...[...families].flatMap(([name, family]) => nameOf(name, family)), ...RECORDED]

/** Returns the metric names in a PromQL expression, recognised by their prefix. */
const metricsIn = (expr: string) =>
  [...expr.matchAll(/\b(?:circadian:\w+|(?:process|nodejs)_\w+|up\b)/g)].map(String)

/** Returns the name and the labels of each `metric{label...}` in an expression. */
const selectorsIn = (expr: string) =>
  [...expr.matchAll(/([\w:]+)\{([^}]*)\}/g)].map(([, name = '', matchers = '']) => ({
    name,
    labels: [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label),
  }))

const labelsOf = (series: string) => {
  const samples = [...families.values()].flatMap((family) => family.samples)
  if (RECORDED.has(series)) return new Set(['model_name'])
  return new Set(samples.filter(({ name }) => name === series).flatMap(({ labels }) => Object.keys(labels)))
}

const expressions = () => [
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ place: title, expr }))),
  ...rules.map(({ alert, record, expr }) => ({ place: alert ?? record ?? '', expr })),
]

test('every expression uses existing series and their labels', () => {
  expect(expressions().length).toBeGreaterThan(20)
  const names = new Set(seriesNames())
  for (const { place, expr } of expressions()) {
    const asked = metricsIn(expr)
    expect(asked.length, place).toBeGreaterThan(0)
    expect(
      asked.filter((name) => !names.has(name) && !SCRAPE_METRICS.has(name)),
      place,
    ).toEqual([])
    for (const { name, labels } of selectorsIn(expr)) {
      const known = [...labelsOf(name), ...SCRAPE_LABELS]
      expect(known, `${place}: ${name}`).toEqual(expect.arrayContaining(labels))
    }
  }
})

test('every grouping label exists on the grouped series', () => {
  for (const { place, expr } of expressions()) {
    const by = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(/, */))
    const known = metricsIn(expr).flatMap((name) => [...labelsOf(name)])
    expect([...known, ...SCRAPE_LABELS], place).toEqual(expect.arrayContaining(by))
  }
})

test('counters are shown as rates, histograms as quantiles or means', () => {
  for (const { place, expr } of expressions()) {
    for (const name of metricsIn(expr).filter((name) => /_(total|bucket|sum|count)$/.test(name))) {
      expect(expr, place).toMatch(new RegExp(`(rate|increase)\\(${name}(\\{[^}]*\\})?\\[`))
    }
  }
})

test('docs/operations.md names only existing metrics, and every metric of Circadian', () => {
  const named = new Set(
    [...document.matchAll(/`(circadian:\w+|(?:process|nodejs)_\w+)/g)].map(([, name = '']) => name),
  )
  expect([...named].filter((name) => !families.has(name))).toEqual([])
  const ours = [...families.keys()].filter((name) => name.startsWith('circadian:'))
  expect(ours.filter((name) => !named.has(name))).toEqual([])
})

test('every alert has a section in docs/operations.md, in the same order, and names it', () => {
  const sections = [...document.matchAll(/^#### (Circadian\w+)\n\n(?=\w)/gm)].map(([, alert]) => alert)
  expect(sections).toEqual(alerts.map(({ alert }) => alert))
  for (const { alert, annotations } of alerts) {
    expect(annotations?.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`)
  }
})

test('log lines that docs/operations.md quotes exist', () => {
  const sources = globSync('src/**/*.ts', { cwd: ROOT }).map(read).join('\n')
  const quoted = [...document.matchAll(/`([a-z]+:? [a-z]+ [a-z ]+)`/g)].map(([, line = '']) => line)
  const commands = quoted.filter((line) => line.startsWith('npm '))
  expect(quoted.length - commands.length).toBeGreaterThan(5)
  expect(quoted.filter((line) => !commands.includes(line) && !sources.includes(line))).toEqual([])
})

test('deploy/alerts.test.yml makes every alert fire, and stay silent', () => {
  const cases = ruleTests.flatMap((ruleTest) => ruleTest.alert_rule_test)
  for (const { alert } of alerts) {
    const fired = cases
      .filter(({ alertname }) => alertname === alert)
      .map(({ exp_alerts }) => exp_alerts.length > 0)
    expect([...new Set(fired)].sort(), alert).toEqual([false, true])
  }
})

test('panels of the dashboard have unique ids and do not overlap', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  for (const { title, gridPos: a, id } of panels) {
    expect(a.x + a.w, title).toBeLessThanOrEqual(24)
    const over = panels.filter(
      ({ id: other, gridPos: b }) =>
        other !== id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h,
    )
    expect(
      over.map((panel) => panel.title),
      title,
    ).toEqual([])
  }
})
