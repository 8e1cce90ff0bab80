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
