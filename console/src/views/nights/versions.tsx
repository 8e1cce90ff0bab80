/** @file The trained versions: which serve, which wait for a review, which can come back. */

import { useState } from 'preact/hooks'
import { type Artifact, bodyOf } from '../../api.ts'
import { count, moment } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { KIND_NAMES } from './kind-names.ts'

const CAUSES = {
  promotion: 'by its promotion',
  operator: 'by hand',
  rollback: 'by a rollback',
} as const

/** @param turn changes when there may be other versions */
export function Versions({ turn }: { readonly turn: string }) {
  const { client } = useSession()
  const { data, fault, reload } = useQuery(
    async (signal) =>
      (await bodyOf(client.GET('/admin/artifacts', { signal, params: { query: { limit: 100 } } }))).artifacts,
    [turn],
    { everyMs: 10_000 },
  )
  const [refusal, setRefusal] = useState<unknown>(null)
  async function call(work: () => Promise<unknown>) {
    setRefusal(null)
    try {
      await work()
      reload()
    } catch (thrown) {
      setRefusal(thrown)
    }
  }
  const activate = ({ id }: Artifact) =>
    call(() => bodyOf(client.POST('/admin/artifacts/{id}/activate', { params: { path: { id } } })))
  const reject = ({ id }: Artifact) =>
    call(() => bodyOf(client.POST('/admin/artifacts/{id}/reject', { params: { path: { id } } })))
  return (
    <Panel title="Versions">
      <Fault fault={refusal ?? fault} onRetry={reload} />
      {data?.length === 0 && <Empty title="No version yet" />}
      {data !== null && data.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
        <section class="scroll" tabIndex={0} aria-label="Trained versions">
          <table>
            <thead>
              <tr>
                <th>Version</th>
                <th>State</th>
                <th>Trained</th>
                <th class="number">Episodes</th>
                <th>
                  <span class="unseen">Action</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {data.map((artifact) => (
                <tr key={artifact.id}>
                  <td>
                    <strong>{artifact.version}</strong> <span class="hint">{KIND_NAMES[artifact.kind]}</span>
                  </td>
                  <td>
                    <State artifact={artifact} />
                  </td>
                  <td>
                    <time dateTime={artifact.createdAt}>{moment(artifact.createdAt)}</time>
                  </td>
                  <td class="number">{count(artifact.episodes)}</td>
                  <td class="number">
                    <Actions artifact={artifact} onActivate={activate} onReject={reject} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Panel>
  )
}

const isWaiting = ({ status, passed }: Artifact) => status === 'candidate' && passed === true

function State({ artifact }: { readonly artifact: Artifact }) {
  const { status, active, activatedBy, stale, available, rolledBackAt } = artifact
  const words = isWaiting(artifact) ? 'waits for a review' : status
  return (
    <span class="row">
      <span class={`tag${active ? ' accent' : ''}`}>{active ? 'active' : words}</span>
      {active && activatedBy !== null && <span class="hint">{CAUSES[activatedBy]}</span>}
      {stale && <span class="tag danger">stale</span>}
      {rolledBackAt !== null && <span class="hint">rolled back {moment(rolledBackAt)}</span>}
      {!available && <span class="hint">its bytes are gone</span>}
    </span>
  )
}

function Actions({
  artifact,
  onActivate,
  onReject,
}: {
  readonly artifact: Artifact
  readonly onActivate: (artifact: Artifact) => void
  readonly onReject: (artifact: Artifact) => void
}) {
  if (isWaiting(artifact))
    return (
      <span class="row actions">
        <button type="button" class="quiet" onClick={() => onActivate(artifact)}>
          Accept {artifact.version}
        </button>
        <button type="button" class="quiet" onClick={() => onReject(artifact)}>
          Reject {artifact.version}
        </button>
      </span>
    )
  if (artifact.active || artifact.status !== 'promoted' || !artifact.available) return null
  return (
    <button type="button" class="quiet" onClick={() => onActivate(artifact)}>
      Activate {artifact.version}
    </button>
  )
}
