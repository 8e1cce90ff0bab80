/**
 * @file Strict parser of the Prometheus text format 0.0.4: throws on text that a scraper would refuse or
 * misread.
 */

import type { Backlog } from '#jobs'
import type { ActiveVersionStatus } from '#serving'

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = String.raw`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"`
const HELP = new RegExp(`^# HELP (${NAME}) (\\S.*)$`)
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`)
const SAMPLE = new RegExp(
  `^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`,
)

/** Parses metric families by name. @throws Error naming the line that breaks the format */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('exposition: expected a line feed at the end')
  const families = new Map<string, Family>()
  const series = new Set<string>()
  let pending: { name: string; help: string } | null = null
  let current: { name: string; family: Family } | null = null
  for (const [index, line] of text.slice(0, -1).split('\n').entries()) {
    const fail = (expected: string) => new Error(`line ${index + 1}: expected ${expected}, got ${line}`)
    if (line === '') continue
    const help = HELP.exec(line)
    const type = TYPE.exec(line)
    const sample = SAMPLE.exec(line)
    if (help) {
      pending = { name: help[1]!, help: help[2]! }
    } else if (type) {
      const name = type[1]!
      if (pending?.name !== name) throw fail('the type of the family in the HELP line above')
      if (families.has(name)) throw fail('a family once')
      current = { name, family: { type: type[2]!, help: pending.help, samples: [] } }
      families.set(name, current.family)
    } else if (sample) {
      const [, name = '', labels = ''] = sample
      if (current === null || !belongs(name, current)) throw fail(`a sample of ${current?.name}`)
      const named = [...labels.matchAll(new RegExp(LABEL, 'g'))].map(([, label = '', value = '']) => {
        return [label, value.replaceAll(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))] as const
      })
      if (new Set(named.map(([label]) => label)).size < named.length) throw fail('each label once')
      const key = name + JSON.stringify([...named].sort())
      if (series.has(key)) throw fail('each series once')
      series.add(key)
      const value = Number(sample.at(-1)!.replace('Inf', 'Infinity'))
      current.family.samples.push({ name, labels: Object.fromEntries(named), value })
    } else {
      throw fail('a line of the text format')
    }
  }
  for (const [name, family] of families) checkFamily(name, family)
  return families
}

/** Returns the sum of the series of a metric whose labels include `labels`; 0 if there is none. */
export function total(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
  if (!family) throw new Error(`metrics: expected ${name} to exist`)
  return family.samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

function belongs(sample: string, { name, family }: { name: string; family: Family }): boolean {
  if (family.type !== 'histogram') return sample === name
  return ['_bucket', '_sum', '_count'].some((suffix) => sample === name + suffix)
}

function checkFamily(name: string, { type, samples }: Family): void {
  if (type === 'counter') {
    if (!name.endsWith('_total')) throw new Error(`${name}: expected a counter to end in _total`)
    if (samples.some(({ value }) => !(value >= 0))) throw new Error(`${name}: expected counts`)
  }
  if (type === 'histogram') checkHistogram(name, samples)
}

/** Checks that in each group of equal labels bounds and counts rise and that +Inf has the total count. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _le, ...others } }) => JSON.stringify(others))
  for (const [labels, group] of groups) {
    const of = (suffix: string) => group.filter((sample) => sample.name === name + suffix)
    const bounds = of('_bucket').map(({ labels: { le } }) => Number(le?.replace('Inf', 'Infinity')))
    const counts = of('_bucket').map(({ value }) => value)
    const rises =
      bounds.every((bound, i) => i === 0 || bound > bounds[i - 1]!) &&
      counts.every((count, i) => i === 0 || count >= counts[i - 1]!)
    const complete = bounds.at(-1) === Number.POSITIVE_INFINITY && of('_sum').length === 1
    if (!rises || !complete || of('_count')[0]?.value !== counts.at(-1)) {
      throw new Error(`${name}${labels}: expected rising buckets up to +Inf, a sum and the same count`)
    }
  }
}

/** Status of a watcher before the first consolidation. */
export const noTrainedModels = {
  status: (): ActiveVersionStatus[] => [{ kind: 'lrm', serving: null, form: null, refused: null }],
  isFrozen: () => false,
}

/** Figures of a database without work. */
export const noBacklog = async (): Promise<Backlog> => ({
  outboxRows: 0,
  outboxAgeSeconds: 0,
  deletionIdleSeconds: 0,
  episodesPending: 0,
  lastSuccessSeconds: 1_790_000_000,
  lastDurationSeconds: 25,
  consolidationsFailed: 0,
  rollbacks: 0,
})

/** Counts of a connection pool that has opened none. */
export const noPool = { totalCount: 0, idleCount: 0, waitingCount: 0 }
