/** @file The learning curve over days, and the figures of each set of versions. */

import { useState } from 'preact/hooks'
import { bodyOf, type LearningDay } from '../../api.ts'
import { count, decimals, percent } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { TimeChart } from '../../parts/time-chart.tsx'
import { linkTo } from '../../route.ts'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'

const DAY_S = 86_400
const SPANS = [14, 30, 90, 365] as const

type Sums = Pick<LearningDay, 'episodes' | 'labelled' | 'right' | 'firstPass' | 'steps' | 'tokens'>

const NOTHING: Sums = { episodes: 0, labelled: 0, right: 0, firstPass: 0, steps: 0, tokens: 0 }

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole)

const FIGURES = [
  {
    name: 'Accuracy',
    note: 'of the labelled answers',
    of: (sums: Sums) => share(sums.right, sums.labelled),
    format: percent,
  },
  {
    name: 'First pass',
    note: 'passed before any search',
    of: (sums: Sums) => share(sums.firstPass, sums.episodes),
    format: percent,
  },
  {
    name: 'Steps',
    note: 'a question',
    of: (sums: Sums) => share(sums.steps, sums.episodes),
    format: (value: number) => decimals(value, 1),
  },
  {
    name: 'Tokens',
    note: 'a question',
    of: (sums: Sums) => share(sums.tokens, sums.episodes),
    format: count,
  },
] as const

/** @param turn changes when the figures may have changed */
export function LearningCurve({ turn }: { readonly turn: string }) {
  const { client } = useSession()
  const [span, setSpan] = useState<number>(30)
  const [strategy, setStrategy] = useState('')
  const { data, fault, reload } = useQuery(
    async (signal) => {
      const query = { days: span }
      return (await bodyOf(client.GET('/admin/learning/days', { signal, params: { query } }))).days
    },
    [span, turn],
    { everyMs: 10_000 },
  )
  const strategies = [...new Set((data ?? []).map((day) => day.strategy))].sort()
  const rows = (data ?? []).filter((day) => strategy === '' || day.strategy === strategy)
  return (
    <Panel
      title="Learning curve"
      aside={
        <div class="row">
          <select
            aria-label="Strategy"
            value={strategy}
            onChange={({ currentTarget }) => setStrategy(currentTarget.value)}
          >
            <option value="">all strategies</option>
            {strategies.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <select
            aria-label="Days"
            value={span}
            onChange={({ currentTarget }) => setSpan(Number(currentTarget.value))}
          >
            {SPANS.map((days) => (
              <option key={days} value={days}>
                {days} days
              </option>
            ))}
          </select>
        </div>
      }
    >
      <Fault fault={fault} onRetry={reload} />
      {data !== null && rows.length === 0 && (
        <Empty title="No answers in these days">
          <p>
            The curve begins with the first question in <a href={linkTo('ask')}>Ask</a>. Its accuracy needs
            feedback or references.
          </p>
        </Empty>
      )}
      {rows.length > 0 && <Charts rows={rows} />}
      {rows.length > 0 && <VersionTable rows={rows} />}
    </Panel>
  )
}

function Charts({ rows }: { readonly rows: readonly LearningDay[] }) {
  const days = groupBy(rows, ({ day }) => day)
  const names = [...days.keys()].sort()
  const first = Date.parse(`${names[0]}T00:00:00Z`) / 1_000
  const last = Date.parse(`${names.at(-1)}T00:00:00Z`) / 1_000
  // Days without answers are gaps. A single day needs a day on each side to have a place.
  const lead = names.length === 1 ? 1 : 0
  const length = Math.round((last - first) / DAY_S) + 1 + 2 * lead
  const times = Array.from({ length }, (_, index) => first + (index - lead) * DAY_S)
  const sums = times.map((time) => days.get(new Date(time * 1_000).toISOString().slice(0, 10)) ?? NOTHING)
  const whole = total(rows)
  return (
    <div class="curves">
      {FIGURES.map(({ name, note, of, format }) => {
        const value = of(whole)
        return (
          <figure key={name}>
            <figcaption>
              <strong>{name}</strong> <span class="hint">{note}</span>
              <span class="overall">{value === null ? 'unknown' : format(value)}</span>
            </figcaption>
            <TimeChart
              label={`${name} by day`}
              times={times}
              lines={[{ label: name, values: sums.map(of) }]}
              height={130}
              format={format}
              byDay
            />
          </figure>
        )
      })}
    </div>
  )
}

function VersionTable({ rows }: { readonly rows: readonly LearningDay[] }) {
  const named = (version: string | null) => (version === null || version === 'none' ? null : version)
  const sets = groupBy(rows, ({ strategy, weaverVersion, lrmVersion, judgeVersion }) =>
    [strategy, ...[weaverVersion, lrmVersion, judgeVersion].map(named).filter((name) => name !== null)].join(
      ' · ',
    ),
  )
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section class="scroll" tabIndex={0} aria-label="Figures by strategy and versions">
      <table>
        <thead>
          <tr>
            <th>Strategy and versions</th>
            <th class="number">Answers</th>
            {FIGURES.map(({ name }) => (
              <th class="number" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...sets].map(([name, sums]) => (
            <tr key={name}>
              <td>{name}</td>
              <td class="number">{count(sums.episodes)}</td>
              {FIGURES.map((figure) => {
                const value = figure.of(sums)
                return (
                  <td class="number" key={figure.name}>
                    {value === null ? '–' : figure.format(value)}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function total(rows: readonly LearningDay[]): Sums {
  return rows.reduce<Sums>(add, NOTHING)
}

function groupBy(
  rows: readonly LearningDay[],
  nameOf: (row: LearningDay) => string,
): ReadonlyMap<string, Sums> {
  const groups = new Map<string, Sums>()
  for (const row of rows) {
    const name = nameOf(row)
    groups.set(name, add(groups.get(name) ?? NOTHING, row))
  }
  return groups
}

function add(one: Sums, other: Sums): Sums {
  return {
    episodes: one.episodes + other.episodes,
    labelled: one.labelled + other.labelled,
    right: one.right + other.right,
    firstPass: one.firstPass + other.firstPass,
    steps: one.steps + other.steps,
    tokens: one.tokens + other.tokens,
  }
}
