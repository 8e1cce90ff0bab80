/** @file Where the solve is, then what came of it: the answer, a sentence, a few figures. */

import type { ComponentChildren } from 'preact'
import type { Solution } from '../../api.ts'
import { count, decimals, duration, percent } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Stat } from '../../parts/panel.tsx'
import { hasMemoryLed, nameOf, type Run } from './run.ts'

const STOPPED: Readonly<Record<Solution['stopped'], string>> = {
  reward: 'good enough',
  maxIterations: 'all steps used',
  maxNewTokens: 'all tokens used',
  maxMs: 'time is up',
  noImprovement: 'no further gain',
  single: 'nothing to search',
}

const DEGRADED: Readonly<Record<Solution['degraded'][number], string>> = {
  retrieval: 'memory',
  weaver: 'weaver',
  learning: 'storing the episode',
  lrm: 'reward model',
  judge: 'fused judge',
}

export function Outcome({ run, onGoOn }: { readonly run: Run; onGoOn(): void }) {
  const best = run.best === null ? null : run.answers[run.best]
  const answer = run.solution === null ? best?.answer : run.solution.answer
  return (
    <section class="outcome" aria-label="Answer" aria-busy={run.status === 'running'}>
      <p class="asked">{run.request.question}</p>
      <p class={`big ${run.status === 'running' ? 'open' : ''}`}>
        {answer ?? (run.status === 'running' ? '…' : 'No answer')}
      </p>
      <p class="story" role="status">
        {storyOf(run)}
      </p>
      {run.status === 'broken' && (
        <div class="fault" role="alert">
          <p>
            <strong>The stream broke</strong> after {count(run.events)} events. What had arrived is shown
            below. The same request can go on: the server answers it once.
          </p>
          <button type="button" onClick={onGoOn}>
            Go on
          </button>
        </div>
      )}
      {run.status === 'refused' && <Fault fault={run.fault} />}
      {run.solution !== null && <Figures solution={run.solution} />}
    </section>
  )
}

function storyOf(run: Run): ComponentChildren {
  const { solution, status, moments, text, thought } = run
  const last = moments.at(-1)
  if (status === 'cancelled') return 'Cancelled. The server has stopped working on it.'
  if (status === 'broken' || status === 'refused') return ''
  if (solution !== null) return <Story run={run} solution={solution} />
  if (last !== undefined && last.kind !== 'draft') return `Searching: ${nameOf(last).toLowerCase()}`
  if (last !== undefined) return 'Drafted and judged. Looking for something better.'
  if (text !== '') return 'Drafting'
  return thought === '' ? 'Reading the question' : 'Thinking'
}

function Story({ run, solution }: { readonly run: Run; readonly solution: Solution }) {
  const { base, improved, iterations, evaluations, answer, retrieved } = solution
  const judged = `${evaluations} other ${evaluations === 1 ? 'answer' : 'answers'}`
  const sentences = [
    ...(hasMemoryLed(run)
      ? [
          `Memory led: ${retrieved.length === 1 ? 'a similar episode' : `${retrieved.length} similar episodes`} moved the start${base === null ? ', and the draft was never finished' : ''}.${iterations === 0 ? ' The answer from there was good enough at once.' : ''}`,
        ]
      : []),
    ...(base === null || hasMemoryLed(run)
      ? []
      : [`The draft answered ${base.answer ?? 'nothing'}${base.answer === answer ? ' too' : ''}.`]),
    iterations > 0
      ? `The search moved the latents ${iterations} ${iterations === 1 ? 'time' : 'times'} and judged ${judged}${improved ? '' : ', none better'}.`
      : evaluations > 0
        ? `The service judged ${judged}${improved || base === null ? '' : ', none better'}.`
        : 'There was nothing to search.',
  ].slice(0, hasMemoryLed(run) && iterations === 0 ? 1 : undefined)
  return <>{sentences.join(' ')}</>
}

function Figures({ solution }: { readonly solution: Solution }) {
  const { reward, base, confidence, timings, usage, iterations, stopped, degraded, refutedBy } = solution
  return (
    <>
      <dl class="stats">
        <Stat
          label="Reward"
          value={decimals(reward)}
          note={base !== null && base.reward !== reward ? `draft ${decimals(base.reward)}` : undefined}
        />
        <Stat
          label="Confidence"
          value={confidence === null ? '–' : percent(confidence)}
          note={confidence === null ? 'after a night' : 'calibrated'}
        />
        <Stat label="Steps" value={count(iterations)} note={STOPPED[stopped]} />
        <Stat label="Time" value={duration(timings.totalMs)} note={`draft ${duration(timings.draftMs)}`} />
        <Stat
          label="Tokens"
          value={count(usage.generatedTokens)}
          note={`${count(usage.rewardTokens)} to judge`}
        />
      </dl>
      {refutedBy !== undefined && (
        <p class="hint">This answer was called wrong before. No other was found.</p>
      )}
      {degraded.length > 0 && (
        <p class="hint">Without: {degraded.map((part) => DEGRADED[part]).join(', ')}.</p>
      )}
    </>
  )
}
