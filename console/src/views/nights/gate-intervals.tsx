/** @file The intervals by which a gate decided, drawn: candidate against active version, and the differences. */

import type { Metric } from '../../api.ts'
import { count, decimals } from '../../format.ts'

type Metrics = Readonly<Record<string, Metric>>

const DIFFERENCE = '.difference'
/** Width and height of a drawing, in its own units. */
const WIDTH = 240
const HEIGHT = 26

interface Bar {
  readonly name: string
  readonly metric: Metric
}

/** What gates decide by; other figures are shown on demand. */
const MAIN: ReadonlySet<string> = new Set([
  'accuracy',
  'reward',
  'firstPass',
  'work',
  'generatedTokens',
  'auc',
  'withinAuc',
  'choice',
  'brier',
])

/** Shows nothing where nothing was measured. @param baseline figures of the active version on the same questions */
export function GateIntervals({
  metrics,
  baseline,
}: {
  readonly metrics: Metrics
  readonly baseline: Metrics
}) {
  const names = Object.keys(metrics)
  const isMain = (name: string) => MAIN.has(name.replace(/^anchor\./, '').replace(/\.difference$/, ''))
  const others = names.filter((name) => !isMain(name))
  return (
    <>
      <Figures names={names.filter(isMain)} metrics={metrics} baseline={baseline} />
      {others.length > 0 && (
        <details>
          <summary>{count(others.length)} further figures</summary>
          <Figures names={others} metrics={metrics} baseline={baseline} />
        </details>
      )}
    </>
  )
}

interface FiguresProps {
  readonly names: readonly string[]
  readonly metrics: Metrics
  readonly baseline: Metrics
}

function Figures({ names, metrics, baseline }: FiguresProps) {
  const metricOf = (name: string) => metrics[name] as Metric
  const differences = names.filter((name) => name.endsWith(DIFFERENCE))
  const levels = names.filter((name) => !name.endsWith(DIFFERENCE))
  const isCompared = levels.some((name) => baseline[name] !== undefined)
  return (
    <div class="gate">
      {levels.length > 0 && (
        <Group title={isCompared ? 'Candidate, and below it the active version' : 'Candidate'}>
          {levels.map((name) => (
            <Levels
              key={name}
              name={name}
              bars={[
                { name: 'candidate', metric: metricOf(name) },
                ...(baseline[name] === undefined ? [] : [{ name: 'active', metric: baseline[name] }]),
              ]}
            />
          ))}
        </Group>
      )}
      {differences.length > 0 && (
        <Group title="Difference: to the right, the candidate has more">
          {differences.map((name) => (
            <Difference key={name} name={name} metric={metricOf(name)} />
          ))}
        </Group>
      )}
    </div>
  )
}

function Group({ title, children }: { readonly title: string; readonly children: preact.ComponentChildren }) {
  return (
    <div class="group">
      <h4>{title}</h4>
      {children}
    </div>
  )
}

const low = ({ low: bound, value }: Metric) => bound ?? value
const high = ({ high: bound, value }: Metric) => bound ?? value

function Levels({ name, bars }: { readonly name: string; readonly bars: readonly Bar[] }) {
  const [from, to] = domain(bars.map(({ metric }) => metric))
  const place = (value: number) => 6 + ((value - from) / (to - from)) * (WIDTH - 12)
  return (
    <div class="interval">
      <span class="name">{words(name)}</span>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={bars.map(describe).join('; ')}>
        <line class="scale" x1="6" x2={WIDTH - 6} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        {bars.map(({ name: whose, metric }, index) => (
          <Mark
            key={whose}
            whose={whose}
            metric={metric}
            place={place}
            y={bars.length === 1 ? 13 : 8 + index * 10}
          />
        ))}
      </svg>
      <span class="value">
        {bars.map(({ name: whose, metric }) => (
          <span key={whose} class={whose} title={`${whose}, n = ${metric.n}`}>
            {decimals(metric.value, digits(metric.value))}
          </span>
        ))}
      </span>
    </div>
  )
}

function Difference({ name, metric }: { readonly name: string; readonly metric: Metric }) {
  const reach = 1.15 * Math.max(0.01, Math.abs(low(metric)), Math.abs(high(metric)))
  const place = (value: number) => WIDTH / 2 + (value / reach) * (WIDTH / 2 - 6)
  const whose = name.startsWith('anchor.') ? 'anchor' : 'active'
  const bare = name.slice(0, -DIFFERENCE.length).replace(/^anchor\./, '')
  return (
    <div class="interval">
      <span class="name">
        {words(bare)} <span class="hint">to the {whose === 'anchor' ? 'anchor' : 'active version'}</span>
      </span>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={describe({ name: `difference to the ${whose}`, metric })}
      >
        <line class="scale" x1="6" x2={WIDTH - 6} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        <line class="zero" x1={WIDTH / 2} x2={WIDTH / 2} y1="2" y2={HEIGHT - 2} />
        <Mark
          whose={whose === 'anchor' ? 'anchor' : 'candidate'}
          metric={metric}
          place={place}
          y={HEIGHT / 2}
        />
      </svg>
      <span class="value" title={`n = ${metric.n}`}>
        {metric.value > 0 ? '+' : ''}
        {decimals(metric.value, digits(reach))}
      </span>
    </div>
  )
}

function Mark({
  whose,
  metric,
  place,
  y,
}: {
  readonly whose: string
  readonly metric: Metric
  readonly place: (value: number) => number
  readonly y: number
}) {
  return (
    <g class={whose}>
      <line class="bar" x1={place(low(metric))} x2={place(high(metric))} y1={y} y2={y} />
      <circle cx={place(metric.value)} cy={y} r="3.5" />
    </g>
  )
}

/** Returns [0, 1] for shares, [-1, 0] for rewards, else from 0 to a little beyond the largest bound. */
function domain(metrics: readonly Metric[]): readonly [number, number] {
  const least = Math.min(...metrics.map(low))
  const most = Math.max(...metrics.map(high))
  if (least >= 0 && most <= 1) return [0, 1]
  if (least >= -1 && most <= 0) return [-1, 0]
  return [Math.min(0, least * 1.1), Math.max(most * 1.1, least + 1e-9)]
}

function describe({ name, metric }: Bar): string {
  const size = digits(Math.max(Math.abs(metric.value), 0.1))
  const bounds =
    metric.low === undefined || metric.high === undefined
      ? ''
      : `, ${decimals(metric.low, size)} to ${decimals(metric.high, size)}`
  return `${name} ${decimals(metric.value, size)}${bounds}, n = ${metric.n}`
}

const digits = (value: number): number => (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3)

/** `withinQuestionAuc` becomes `within question AUC`. */
function words(name: string): string {
  return name
    .replaceAll('.', ', ')
    .replaceAll(/([a-z])([A-Z])/g, (_, before: string, after: string) => `${before} ${after.toLowerCase()}`)
    .replaceAll(/\bauc\b/gi, 'AUC')
    .replace('within AUC', 'within-question AUC')
}
