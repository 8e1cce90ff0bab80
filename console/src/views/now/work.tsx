/** @file What the service has done since it started: solves by strategy, background work, failures. */

import { count, decimals, duration, percent } from '../../format.ts'
import { Empty, Panel, Stat } from '../../parts/panel.tsx'
import { type Exposition, type Histogram, histogramsBy, quantile, total } from './exposition.ts'

interface WorkProps {
  readonly metrics: Exposition
}

export function Latency({ metrics }: WorkProps) {
  const byStrategy = histogramsBy(metrics, 'circadian:e2e_request_latency_seconds', 'strategy')
  const steps = new Map(histogramsBy(metrics, 'circadian:optimizer_steps', 'strategy'))
  const improved = (strategy: string) =>
    (metrics.get('circadian:request_improved_total') ?? []).find(
      ({ labels }) => labels['strategy'] === strategy,
    )?.value ?? 0
  return (
    <Panel title="Latency" aside="since the process started">
      {byStrategy.length === 0 ? (
        <Empty title="No question yet">
          <p>Each strategy gets a line with its first answer.</p>
        </Empty>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Strategy</th>
                <th scope="col" class="number">
                  Solves
                </th>
                <th scope="col" class="number">
                  Median
                </th>
                <th scope="col" class="number">
                  95&thinsp;%
                </th>
                <th scope="col" class="number">
                  Steps
                </th>
                <th scope="col" class="number">
                  Improved
                </th>
              </tr>
            </thead>
            <tbody>
              {byStrategy.map(([strategy, latency]) => (
                <tr key={strategy}>
                  <td>{strategy}</td>
                  <td class="number">{count(latency.count)}</td>
                  <td class="number">{secondsAt(latency, 0.5)}</td>
                  <td class="number">{secondsAt(latency, 0.95)}</td>
                  <td class="number">{meanOf(steps.get(strategy))}</td>
                  <td class="number">{percent(improved(strategy) / Math.max(1, latency.count))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

function secondsAt(histogram: Histogram, share: number): string {
  const seconds = quantile(histogram, share)
  return seconds === null ? '–' : duration(seconds * 1_000)
}

const meanOf = (histogram: Histogram | undefined): string =>
  histogram === undefined || histogram.count === 0 ? '–' : decimals(histogram.sum / histogram.count, 1)

export function Background({ metrics }: WorkProps) {
  const of = (name: string) => total(metrics, `circadian:${name}`)
  const age = of('outbox_age_seconds')
  const lastNight = of('consolidation_last_success_timestamp_seconds')
  const failedJobs = (metrics.get('circadian:jobs_total') ?? [])
    .filter(({ labels }) => labels['outcome'] === 'failed')
    .reduce((sum, { value }) => sum + value, 0)
  return (
    <Panel title="In the background">
      <dl class="stats">
        <Stat
          label="Outbox"
          value={orDash(of('outbox_rows'))}
          note={
            age === null
              ? 'database does not answer'
              : age === 0
                ? 'nothing waits'
                : `oldest ${duration(age * 1_000)}`
          }
        />
        <Stat label="Episodes to label" value={orDash(of('episodes_pending'))} />
        <Stat
          label="Jobs failed"
          value={count(failedJobs)}
          note={`${count(of('consolidations_failed_total') ?? 0)} nights`}
        />
        <Stat
          label="Last night"
          value={lastNight === null ? '–' : duration(Math.max(0, Date.now() - lastNight * 1_000))}
          note={lastNight === null ? 'none yet' : 'ago'}
        />
      </dl>
    </Panel>
  )
}

const orDash = (value: number | null): string => (value === null ? '–' : count(value))

/** Failures by code and degraded answers by part, those that happened. */
export function Trouble({ metrics }: WorkProps) {
  const happened = (name: string, label: string) =>
    (metrics.get(`circadian:${name}`) ?? [])
      .filter(({ value }) => value > 0)
      .map(({ labels, value }) => ({ what: labels[label] ?? '', value }))
  const rows = [
    ...happened('request_degraded_total', 'missing').map((row) => ({
      ...row,
      what: `Answered without ${row.what}`,
    })),
    ...happened('request_failure_total', 'code').map((row) => ({
      ...row,
      what: row.what === 'ABORTED' ? 'Cancelled by the caller' : row.what,
    })),
  ]
  return (
    <Panel title="Degraded and failed" aside="since the process started">
      {rows.length === 0 ? (
        <Empty title="Nothing failed">
          <p>Every answer had all its parts.</p>
        </Empty>
      ) : (
        <table>
          <tbody>
            {rows.map(({ what, value }) => (
              <tr key={what}>
                <td>{what}</td>
                <td class="number">{count(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}
