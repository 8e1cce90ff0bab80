/** @file What the service does now: parts, load of the engine, latency, backlog, versions. */

import { useRef } from 'preact/hooks'
import { bodyOf, type Readiness } from '../../api.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { parseExposition } from './exposition.ts'
import { Load, type Point, pointOf } from './load.tsx'
import { Versions } from './versions.tsx'
import { Background, Latency, Trouble } from './work.tsx'

const EVERY_MS = 2_000
/** Ten minutes. */
const MAX_POINTS = 300

export function NowView() {
  const { can } = useSession()
  return (
    <div class="view now">
      <div class="head">
        <h1>Now</h1>
        <Parts />
      </div>
      {can('metrics') ? (
        <Figures />
      ) : (
        <Panel title="Engine">
          <Empty title="This key may not read figures">
            <p>
              Load, latency and versions need a key with the scope <code>metrics</code>.
            </p>
          </Empty>
        </Panel>
      )}
    </div>
  )
}

function Parts() {
  const { client } = useSession()
  const { data, fault, reload } = useQuery(
    async (signal) => {
      const { data, error, response } = await client.GET('/readyz', { signal })
      // 503 has the same body: it says which part is missing.
      const body: unknown = data ?? error
      return isReadiness(body) ? body : bodyOf<Readiness>(Promise.resolve({ error, response }))
    },
    [],
    { everyMs: EVERY_MS },
  )
  if (data === null) return <Fault fault={fault} onRetry={reload} />
  return (
    <ul class="checks" aria-label="Parts">
      {Object.entries(data.checks).map(([name, { ok, detail }]) => (
        <li key={name} class={ok ? '' : 'down'} title={detail}>
          {name} {ok ? <span class="unseen">works</span> : <strong>{detail ?? 'unavailable'}</strong>}
        </li>
      ))}
    </ul>
  )
}

const isReadiness = (body: unknown): body is Readiness =>
  typeof body === 'object' && body !== null && 'checks' in body

function Figures() {
  const { client } = useSession()
  const points = useRef<readonly Point[]>([])
  const { data, fault, reload } = useQuery(
    async (signal) => {
      const metrics = parseExposition(await bodyOf(client.GET('/metrics', { signal, parseAs: 'text' })))
      const point = pointOf(metrics, Date.now() / 1_000, points.current.at(-1))
      points.current = [...points.current, point].slice(-MAX_POINTS)
      return metrics
    },
    [],
    { everyMs: EVERY_MS },
  )
  if (data === null) return <Fault fault={fault} onRetry={reload} />
  return (
    <>
      <Fault fault={fault} onRetry={reload} />
      <Load metrics={data} points={points.current} />
      <Latency metrics={data} />
      <div class="columns">
        <Background metrics={data} />
        <Trouble metrics={data} />
      </div>
      <Versions metrics={data} />
    </>
  )
}
