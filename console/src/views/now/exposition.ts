/** @file Reads Prometheus' text format, as `GET /metrics` has it. */

interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Samples by the name of the series, such as `circadian:e2e_request_latency_seconds_bucket`. */
export type Exposition = ReadonlyMap<string, readonly Sample[]>

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g
const ESCAPES: Readonly<Record<string, string>> = { '\\n': '\n', '\\"': '"', '\\\\': '\\' }

export function parseExposition(text: string): Exposition {
  const series = new Map<string, Sample[]>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = LINE.exec(line) ?? []
    if (name === undefined || value === undefined) continue
    const samples = series.get(name) ?? []
    samples.push({ labels: parseLabels(labels), value: numberOf(value) })
    series.set(name, samples)
  }
  return series
}

/** Returns the sum of a series over all its labels; null when it has no sample. */
export function total(metrics: Exposition, name: string): number | null {
  const samples = metrics.get(name) ?? []
  return samples.length === 0 ? null : samples.reduce((sum, { value }) => sum + value, 0)
}

function parseLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(LABEL)].map(([, name = '', value = '']) => [
      name,
      value.replaceAll(/\\[n"\\]/g, (sequence) => ESCAPES[sequence] ?? sequence),
    ]),
  )
}

const numberOf = (text: string): number =>
  text === '+Inf' ? Number.POSITIVE_INFINITY : text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text)

/** A histogram of one strategy or phase, since the process started. */
export interface Histogram {
  readonly count: number
  readonly sum: number
  /** Upper bounds, rising, each with the number of observations up to it. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[]
}

/** Returns the histograms of a metric by the value of one of its labels. */
export function histogramsBy(
  metrics: Exposition,
  name: string,
  label: string,
): readonly (readonly [string, Histogram])[] {
  const of = (suffix: string, value: string) =>
    (metrics.get(`${name}_${suffix}`) ?? []).filter(({ labels }) => labels[label] === value)
  const values = new Set((metrics.get(`${name}_count`) ?? []).map(({ labels }) => labels[label] ?? ''))
  return [...values].map((value) => [
    value,
    {
      count: of('count', value)[0]?.value ?? 0,
      sum: of('sum', value)[0]?.value ?? 0,
      buckets: of('bucket', value)
        .map((sample) => ({ upTo: numberOf(sample.labels['le'] ?? ''), count: sample.value }))
        .sort((a, b) => a.upTo - b.upTo),
    },
  ])
}

/** Returns a quantile as Prometheus' `histogram_quantile` does: linear inside the bucket; null without observations. */
export function quantile({ count, buckets }: Histogram, share: number): number | null {
  if (count === 0) return null
  const wanted = share * count
  const index = buckets.findIndex((bucket) => bucket.count >= wanted)
  const bucket = buckets[index]
  const below = buckets[index - 1] ?? { upTo: 0, count: 0 }
  if (bucket === undefined || bucket.upTo === Number.POSITIVE_INFINITY) return below.upTo
  const inside = bucket.count - below.count
  return inside === 0
    ? bucket.upTo
    : below.upTo + ((bucket.upTo - below.upTo) * (wanted - below.count)) / inside
}
