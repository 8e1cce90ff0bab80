/** @file One night: what became of each kind in a sentence, and, when opened, its report. */

import { useState } from 'preact/hooks'
import { bodyOf, type Consolidation, type NightReport, type ReportedArtifact } from '../../api.ts'
import { count, decimals, duration, moment } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Panel } from '../../parts/panel.tsx'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { GateIntervals } from './gate-intervals.tsx'
import { KIND_NAMES } from './kind-names.ts'

const STATUS: Readonly<Record<Consolidation['status'], string>> = {
  queued: 'queued',
  running: 'running',
  promoted: 'promoted',
  'awaiting-review': 'waits for a review',
  rejected: 'nothing promoted',
  failed: 'failed',
}

const TRIGGERS = {
  request: 'by request',
  schedule: 'by schedule',
  episodes: 'after enough episodes',
} as const

export function NightCard({ night, isOpen }: { readonly night: Consolidation; readonly isOpen: boolean }) {
  const [open, setOpen] = useState(isOpen)
  const tone = night.status === 'promoted' ? ' accent' : night.status === 'failed' ? ' danger' : ''
  return (
    <Panel
      title={`Night of ${moment(night.createdAt)}`}
      aside={
        <div class="row">
          <span class={`tag${tone}`}>{STATUS[night.status]}</span>
          <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? 'Less' : 'More'}
          </button>
        </div>
      }
    >
      {night.error !== undefined && <p class="failed">{night.error}</p>}
      <ul class="outcomes">
        {night.artifacts.map((artifact) => (
          <li key={artifact.kind}>{sentence(artifact)}</li>
        ))}
      </ul>
      {open && <Report id={night.id} />}
    </Panel>
  )
}

/** Says in one sentence whether a version was promoted, and why. */
function sentence({ kind, version, status, reason }: Consolidation['artifacts'][number]): string {
  const name = version ?? KIND_NAMES[kind]
  const why = reason === undefined ? '' : `: ${reason}`
  switch (status) {
    case 'promoted':
      return `${name} was promoted${why}.`
    case 'awaiting-review':
      return `${name} passed the gate and waits for a review${why}.`
    case 'rejected':
      return `${name} was not promoted${why}.`
    default:
      return `The ${KIND_NAMES[kind]} was not trained${why}.`
  }
}

function Report({ id }: { readonly id: string }) {
  const { client } = useSession()
  const { data, fault, reload } = useQuery<NightReport>(
    async (signal) => {
      const params = { path: { id } }
      return (await bodyOf(
        client.GET('/admin/consolidations/{id}/report', { signal, params }),
      )) as NightReport
    },
    [id],
  )
  if (data === null) return <Fault fault={fault} onRetry={reload} />
  const { evidence } = data
  return (
    <>
      <p class="hint">
        Started {TRIGGERS[data.trigger]}, took {duration(data.seconds * 1_000)}
        {data.attempts > 1 ? ` in ${data.attempts} attempts` : ''}
        {data.retired === null ? '' : `; ${count(data.retired)} near-duplicates lead no longer`}
        {evidence === null
          ? ''
          : `; sampled ${count(evidence.sampled)} of ${count(evidence.questions)} uncertain questions`}
        .
      </p>
      <div class="kinds">
        {data.artifacts
          .filter(({ status }) => status !== 'skipped')
          .map((artifact) => (
            <Kind key={artifact.kind} artifact={artifact} />
          ))}
      </div>
    </>
  )
}

const LEFT_OUT: Readonly<Record<string, string>> = {
  pending: 'not labelled yet',
  unusable: 'without material to learn from',
  overShare: 'beyond the share of their tenant',
  overLimit: 'beyond the limit of a night',
  nearDuplicate: 'near-duplicates',
  heldOut: 'set aside to measure by',
}

function Kind({ artifact }: { readonly artifact: ReportedArtifact }) {
  const { kind, version, episodes, losses, form = null } = artifact
  const leftOut = Object.entries(episodes.leftOut)
  return (
    <section class="kind" aria-label={version ?? KIND_NAMES[kind]}>
      <h3>
        {version ?? KIND_NAMES[kind]}{' '}
        <span class="hint">
          {KIND_NAMES[kind]}
          {form === null ? '' : `, reads ${form}`}
        </span>
      </h3>
      <p>
        Learned from <strong>{count(episodes.learnedFrom)}</strong> of {count(episodes.remembered)} episodes
        {leftOut.length === 0
          ? ''
          : `; left out: ${leftOut.map(([why, number]) => `${count(number)} ${LEFT_OUT[why] ?? why}`).join(', ')}`}
        .
      </p>
      <GateIntervals metrics={artifact.metrics} baseline={artifact.baseline} />
      {Object.keys(losses).length > 0 && (
        <dl class="losses">
          {Object.entries(losses).map(([name, loss]) => (
            <div key={name}>
              <dt>loss, {name}</dt>
              <dd class="number">{decimals(loss, 4)}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}
