/** @file What the engine does: requests, rows, tokens a second, cache, over the last minutes. */

import { bytes, count, decimals } from '../../format.ts'
import { Panel, Stat } from '../../parts/panel.tsx'
import { TimeChart } from '../../parts/time-chart.tsx'
import { type Exposition, total } from './exposition.ts'

/** The figures of one reading. */
export interface Point {
  /** In seconds since 1970. */
  readonly time: number
  readonly running: number
  readonly waiting: number
  /** Since the process started. */
  readonly decoded: number
  /** Tokens a second since the reading before; null for the first, and after a restart of the process. */
  readonly rate: number | null
}

/** Returns the figures of a reading. @param before the one before it */
export function pointOf(metrics: Exposition, time: number, before: Point | undefined): Point {
  const decoded = total(metrics, 'circadian:decode_tokens_total') ?? 0
  const isRestarted = before !== undefined && decoded < before.decoded
  const rate =
    before === undefined || isRestarted
      ? null
      : (decoded - before.decoded) / Math.max(0.1, time - before.time)
  return {
    time,
    running: total(metrics, 'circadian:num_rows_running') ?? 0,
    waiting: total(metrics, 'circadian:num_rows_waiting') ?? 0,
    decoded,
    rate,
  }
}

export function Load({
  metrics,
  points,
}: {
  readonly metrics: Exposition
  readonly points: readonly Point[]
}) {
  const last = points.at(-1)
  const of = (name: string) => total(metrics, `circadian:${name}`) ?? 0
  const times = points.map(({ time }) => time)
  return (
    <Panel title="Engine" aside={last?.running || last?.waiting ? 'working' : 'idle'}>
      <dl class="stats">
        <Stat
          label="Requests"
          value={count(of('num_requests_running'))}
          note={`${count(of('num_requests_waiting'))} waiting`}
        />
        <Stat label="Rows" value={count(last?.running ?? 0)} note={`${count(last?.waiting ?? 0)} waiting`} />
        <Stat
          label="Tokens a second"
          value={last?.rate == null ? '–' : last.rate < 10 ? decimals(last.rate, 1) : count(last.rate)}
          note={`${count(of('decode_tokens_total'))} decoded`}
        />
        <Stat
          label="Cache"
          value={bytes(of('kv_cache_usage_bytes'))}
          note={`${count(of('kv_cached_sequences'))} sequences, ${count(of('kv_kept_prompts'))} kept`}
        />
      </dl>
      <div class="columns">
        <div>
          <h3>Tokens a second</h3>
          <TimeChart
            label="Tokens decoded a second, over the last minutes"
            times={times}
            lines={[{ label: 'tokens/s', values: points.map(({ rate }) => rate) }]}
            format={(value) => count(value)}
          />
        </div>
        <div>
          <h3>Rows</h3>
          <TimeChart
            label="Rows running and waiting, over the last minutes"
            times={times}
            lines={[
              { label: 'running', values: points.map(({ running }) => running) },
              { label: 'waiting', values: points.map(({ waiting }) => waiting) },
            ]}
            format={(value) => count(value)}
          />
        </div>
      </div>
    </Panel>
  )
}
