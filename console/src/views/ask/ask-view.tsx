/** @file A question, and its solve as it happens. */

import { useState } from 'preact/hooks'
import { bodyOf } from '../../api.ts'
import { decimals, duration, percent } from '../../format.ts'
import { Panel } from '../../parts/panel.tsx'
import { ScrollText } from '../../parts/scroll-text.tsx'
import { linkTo } from '../../route.ts'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { AnswerText } from './answer-text.tsx'
import { CopyAs } from './copy-as.tsx'
import { examplesFor } from './examples.ts'
import { Feedback } from './feedback.tsx'
import { LatentPath } from './latent-path.tsx'
import { Outcome } from './outcome.tsx'
import { QuestionForm } from './question-form.tsx'
import { baseText, nameOf, type Run } from './run.ts'
import { fateOf, Timeline } from './timeline.tsx'
import { useSolve } from './use-solve.ts'
import { Verdict } from './verdict.tsx'

export function AskView() {
  const { client, can } = useSession()
  const models = useQuery((signal) => bodyOf(client.GET('/v1/models', { signal })), [])
  const { run, ask, cancel, goOn } = useSolve()
  const model = models.data?.data[0]?.id ?? null
  return (
    <div class="view ask">
      <div class="head">
        <h1>Ask</h1>
        {model !== null && <p class="hint">{model}</p>}
      </div>
      <QuestionForm
        examples={model === null ? [] : examplesFor(model)}
        isRunning={run?.status === 'running'}
        onAsk={ask}
        onCancel={cancel}
      />
      {run !== null && <Outcome run={run} onGoOn={goOn} />}
      {run?.solution?.episodeId != null && can('feedback') && (
        <Panel
          title="Was it right?"
          aside={<a href={linkTo('memory', run.solution.episodeId)}>The episode in memory</a>}
        >
          <Feedback key={run.solution.episodeId} episodeId={run.solution.episodeId} />
        </Panel>
      )}
      {run !== null && run.status !== 'refused' && <Search key={run.startedAt} run={run} />}
      {run !== null && (
        <Panel title="The same from code">
          <CopyAs request={run.request} />
        </Panel>
      )}
    </div>
  )
}

/** All that happened on the way: one moment is looked at, the newest unless one is chosen. */
function Search({ run }: { readonly run: Run }) {
  const [chosen, setChosen] = useState<number | null>(null)
  const { moments, answers, solution } = run
  const bestMoment = moments.findIndex(({ answer, isNew }) => isNew && answer === run.best)
  const index = chosen ?? (run.status === 'answered' && bestMoment !== -1 ? bestMoment : moments.length - 1)
  const moment = moments[index]
  const answer = moment === undefined ? undefined : answers[moment.answer]
  const isDraft = moment === undefined || moment.kind === 'draft'
  const hasDraft = answers.some(({ kind }) => kind === 'draft')
  const { latents = [] } = solution ?? {}
  return (
    <>
      <Panel title="The solve" aside={<Retrieved run={run} />}>
        <Timeline run={run} selected={Math.max(0, index)} onSelect={setChosen} />
        {moment !== undefined && answer !== undefined && (
          <p class="moment">
            <strong>{nameOf(moment)}</strong>
            <span class="mono">{answer.answer ?? 'no answer'}</span>
            <span>reward {decimals(answer.reward)}</span>
            <span>after {duration(moment.at)}</span>
            {fateOf(moment) !== '' && (
              <span class={`tag ${moment.isAccepted ? 'accent' : ''}`}>{fateOf(moment)}</span>
            )}
          </p>
        )}
      </Panel>
      <div class="columns">
        <Panel
          title={moment === undefined ? 'Draft' : nameOf(moment)}
          aside={isDraft || !hasDraft ? undefined : 'against the draft'}
        >
          {run.thought !== '' && isDraft && (
            <details>
              <summary>Thought</summary>
              <ScrollText class="answer-text" label="Thought of the model">
                {run.thought}
              </ScrollText>
            </details>
          )}
          <AnswerText
            before={isDraft || !hasDraft ? (answer?.text ?? run.text) : baseText(run)}
            text={answer?.text ?? run.text}
            isGrowing={run.status === 'running' && isDraft && moment === undefined}
          />
        </Panel>
        <Panel title="Verdict">
          <Verdict answer={answer} />
        </Panel>
      </div>
      {latents.length > 1 && (
        <Panel title="Path of the latents" aside="in two dimensions">
          <LatentPath latents={latents} step={stepAt(run, index)} />
        </Panel>
      )}
    </>
  )
}

/** Returns the step at or before a moment. */
const stepAt = ({ moments }: Run, index: number): number =>
  moments.slice(0, index + 1).findLast(({ kind, number }) => kind === 'step' && number !== null)?.number ?? 0

function Retrieved({ run }: { readonly run: Run }) {
  const { retrieved, request } = run
  if (request.strategy !== 'auto' || retrieved === null) return null
  if (retrieved.length === 0) return <>no similar episode yet</>
  return (
    <>
      similar episodes:{' '}
      {retrieved.map(({ episodeId, similarity }, index) => (
        <span key={episodeId}>
          {index > 0 && ', '}
          <a href={linkTo('memory', episodeId)}>{percent(similarity)}</a>
        </span>
      ))}
    </>
  )
}
