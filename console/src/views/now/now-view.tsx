/** @file What the service does now: load of the engine, latency, backlog, degraded parts, versions. */

import { useRef } from 'preact/hooks'
import { bodyOf } from '../../api.ts'
import { bytes, count } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel, Stat } from '../../parts/panel.tsx'
import { TimeChart } from '../../parts/time-chart.tsx'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { parseExposition, total } from './exposition.ts'

const EVERY_MS = 2_000
/** Ten minutes. */
const MAX_POINTS = 300

export function NowView() {
  const { can } = useSession()
  return (
    <div class="view now">
      <h1>Now</h1>
      <Parts />
      {can('metrics') ? (
        <Load />
      ) : (
        <Empty title="No figures">
          <p>This key lacks the scope metrics.</p>
        </Empty>
      )}
    </div>
  )
}

function Parts() {
  const { client } = useSession()
  const { data, fault, reload } = useQuery((signal) => bodyOf(client.GET('/readyz', { signal })), [], {
    everyMs: EVERY_MS,
  })
  return (
    <Panel title="Parts" aside={data?.status}>
      <Fault fault={fault} onRetry={reload} />
      <dl class="stats">
        {Object.entries(data?.checks ?? {}).map(([name, { ok, detail }]) => (
          <Stat key={name} label={name} value={ok ? 'works' : 'unavailable'} note={detail} />
        ))}
      </dl>
    </Panel>
  )
}

function Load() {
  const { client } = useSession()
  const points = useRef<{ time: number; running: number; waiting: number }[]>([])
  const { data, fault, reload } = useQuery(
    async (signal) => {
      const metrics = parseExposition(await bodyOf(client.GET('/metrics', { signal, parseAs: 'text' })))
      const running = total(metrics, 'circadian:num_rows_running') ?? 0
      const waiting = total(metrics, 'circadian:num_rows_waiting') ?? 0
      points.current = [...points.current, { time: Date.now() / 1_000, running, waiting }].slice(-MAX_POINTS)
      return metrics
    },
    [],
    { everyMs: EVERY_MS },
  )
  if (data === null) return <Fault fault={fault} onRetry={reload} />
  const last = points.current.at(-1)
  return (
    <Panel title="Rows">
      <Fault fault={fault} onRetry={reload} />
      <dl class="stats">
        <Stat label="Running" value={count(last?.running ?? 0)} />
        <Stat label="Waiting" value={count(last?.waiting ?? 0)} />
        <Stat label="Cache" value={bytes(total(data, 'circadian:kv_cache_usage_bytes') ?? 0)} />
      </dl>
      <TimeChart
        label="Rows running and waiting"
        times={points.current.map(({ time }) => time)}
        lines={[
          { label: 'running', values: points.current.map(({ running }) => running) },
          { label: 'waiting', values: points.current.map(({ waiting }) => waiting) },
        ]}
      />
    </Panel>
  )
}
