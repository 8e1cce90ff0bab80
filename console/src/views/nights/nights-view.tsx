/** @file The nights: what was learned, whether it helped, which versions serve. */

import { useState } from 'preact/hooks'
import { bodyOf, type Consolidation } from '../../api.ts'
import { moment } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { useSession } from '../../session.tsx'
import { type Query, useQuery } from '../../use-query.ts'
import { LearningCurve } from './learning-curve.tsx'
import { NightCard } from './night-card.tsx'
import { Versions } from './versions.tsx'

/** Pause between two looks while a night runs, and while none does. */
const RUNNING_MS = 1_000
const IDLE_MS = 10_000

const isRunning = ({ status }: Consolidation) => status === 'queued' || status === 'running'

export function NightsView() {
  const { client } = useSession()
  const [everyMs, setEveryMs] = useState(IDLE_MS)
  const nights = useQuery(
    async (signal) => {
      const { consolidations } = await bodyOf(
        client.GET('/admin/consolidations', { signal, params: { query: { limit: 50 } } }),
      )
      setEveryMs(consolidations.some(isRunning) ? RUNNING_MS : IDLE_MS)
      return consolidations
    },
    [],
    { everyMs },
  )
  const running = nights.data?.find(isRunning) ?? null
  const ended = nights.data?.filter((night) => !isRunning(night)) ?? []
  // Versions and days change when a night ends.
  const turn = ended[0]?.id ?? ''
  return (
    <div class="view nights">
      <div class="head">
        <h1>Nights</h1>
        <p class="lead">
          A night trains small models on the episodes. A version serves only when it has passed the gate.
        </p>
      </div>
      <Fault fault={nights.fault} onRetry={nights.reload} />
      <LearningCurve turn={turn} />
      <Start running={running} nights={nights} />
      {nights.data !== null && ended.length === 0 && running === null && (
        <Empty title="No night yet">
          <p>
            Start one above when there are some labelled episodes: give feedback in Memory, or a reference
            with each question.
          </p>
        </Empty>
      )}
      {ended.map((night, index) => (
        <NightCard key={night.id} night={night} isOpen={index === 0} />
      ))}
      <Versions turn={turn} />
    </div>
  )
}

const STEPS: Readonly<Record<string, string>> = {
  evidence: 'samples answers to uncertain questions',
  snapshot: 'chooses the episodes',
  split: 'sets questions aside to measure by',
  train: 'trains',
  gate: 'compares with the active version',
  promote: 'decides',
  prune: 'puts near-duplicates aside',
  report: 'writes the report',
}

function Start({
  running,
  nights,
}: {
  readonly running: Consolidation | null
  readonly nights: Query<readonly Consolidation[]>
}) {
  const { client } = useSession()
  const learning = useQuery((signal) => bodyOf(client.GET('/admin/learning', { signal })), [], {
    everyMs: IDLE_MS,
  })
  const [fault, setFault] = useState<unknown>(null)
  const isFrozen = learning.data?.frozen ?? false

  async function call(work: () => Promise<unknown>) {
    setFault(null)
    try {
      await work()
      nights.reload()
      learning.reload()
    } catch (thrown) {
      setFault(thrown)
    }
  }
  const start = (force: boolean) =>
    call(() => bodyOf(client.POST('/admin/consolidations', { body: { force } })))
  const freeze = (reason: string) =>
    call(() => bodyOf(client.POST('/admin/freeze', { body: reason === '' ? {} : { reason } })))
  const unfreeze = () => call(() => bodyOf(client.POST('/admin/unfreeze')))

  return (
    <Panel
      title={running === null ? 'Tonight' : 'A night is running'}
      aside={isFrozen ? <span class="tag danger">learning is frozen</span> : undefined}
    >
      <Fault fault={fault ?? learning.fault} />
      {running !== null && <Progress night={running} />}
      {isFrozen && (
        <p>
          Frozen since {moment(learning.data?.since ?? '')}
          {learning.data?.reason === undefined ? '' : `: ${learning.data.reason}`}. Answers go on; no episode
          is kept, and nothing is trained.
        </p>
      )}
      {running === null && !isFrozen && (
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault()
            start(new FormData(event.currentTarget).has('force'))
          }}
        >
          <button type="submit" class="primary">
            Start a night
          </button>
          <label class="check">
            <input type="checkbox" name="force" /> even with few new episodes
          </label>
        </form>
      )}
      {isFrozen ? (
        <div class="row">
          <button type="button" onClick={unfreeze}>
            Unfreeze learning
          </button>
        </div>
      ) : (
        <form
          class="row freeze"
          onSubmit={(event) => {
            event.preventDefault()
            freeze(String(new FormData(event.currentTarget).get('reason') ?? '').trim())
          }}
        >
          <button type="submit" class="quiet">
            Freeze learning
          </button>
          <input name="reason" aria-label="Reason of the freeze" placeholder="reason" maxLength={500} />
        </form>
      )}
    </Panel>
  )
}

function Progress({ night }: { readonly night: Consolidation }) {
  const name = night.step?.split('.', 1)[0] ?? ''
  const share = Math.round(night.progress * 100)
  return (
    <div class="progress">
      <progress max={1} value={night.progress} aria-label="Progress of the night" />
      <p role="status">
        {night.status === 'queued' ? 'waits for a worker' : (STEPS[name] ?? name)} · {share} %
      </p>
    </div>
  )
}
