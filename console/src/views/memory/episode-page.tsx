/** @file One episode: its answers side by side, what led it, what it led, and its deletion. */

import { useState } from 'preact/hooks'
import { bodyOf, type Episode, type EpisodeInfluence, type EpisodeSummary } from '../../api.ts'
import { count, decimals, moment } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel, Stat } from '../../parts/panel.tsx'
import { linkTo } from '../../route.ts'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { EpisodeRow } from './episode-list.tsx'
import { LabelTag, SOURCES, SteeringTag } from './episode-tags.tsx'

export function EpisodePage({ id }: { readonly id: string }) {
  const { client } = useSession()
  const path = { id }
  const episode = useQuery(
    (signal) => bodyOf(client.GET('/episodes/{id}', { signal, params: { path } })),
    [id],
  )
  const influence = useQuery(
    (signal) => bodyOf(client.GET('/episodes/{id}/influence', { signal, params: { path } })),
    [id],
  )
  const [deleted, setDeleted] = useState<EpisodeInfluence | null>(null)
  const reload = () => {
    episode.reload()
    influence.reload()
  }
  if (deleted !== null) return <Deleted influence={deleted} />
  return (
    <div class="view memory">
      <div class="head">
        <h1>Episode</h1>
        <a href={linkTo('memory')}>All of the memory</a>
      </div>
      <Fault fault={episode.fault} onRetry={reload} />
      {episode.data !== null && (
        <>
          <Summary episode={episode.data} onLabelled={reload} />
          <Answers episode={episode.data} />
          <Fault fault={influence.fault} onRetry={influence.reload} />
          {influence.data !== null && (
            <>
              <Influence influence={influence.data} />
              <Deletion id={id} influence={influence.data} onDeleted={setDeleted} />
            </>
          )}
        </>
      )}
    </div>
  )
}

function Summary({ episode, onLabelled }: { readonly episode: Episode; readonly onLabelled: () => void }) {
  const version = (name: string | null) => (name === null ? 'not used' : name === 'none' ? 'none yet' : name)
  return (
    <Panel title="Question" aside={<time dateTime={episode.createdAt}>{moment(episode.createdAt)}</time>}>
      <pre class="asked">{episode.question}</pre>
      <div class="row">
        <strong class="returned">{episode.answer === null ? 'No answer' : `= ${episode.answer}`}</strong>
        <LabelTag {...episode} />
        {episode.labelSource !== null && <span class="hint">{SOURCES[episode.labelSource]}</span>}
        <SteeringTag {...episode} />
        <Feedback episode={episode} onLabelled={onLabelled} />
      </div>
      <dl class="stats">
        <Stat label="Strategy" value={episode.strategy} note={`stopped: ${episode.stopped}`} />
        <Stat
          label="Reward"
          value={decimals(episode.reward)}
          note={episode.baseReward === null ? 'no draft to compare' : `draft ${decimals(episode.baseReward)}`}
        />
        <Stat
          label="Steps"
          value={count(episode.iterations)}
          note={plural(episode.evaluations, 'judged answer', 'judged answers')}
        />
        <Stat label="Tokens" value={count(episode.generatedTokens)} note={`seed ${episode.seed}`} />
        <Stat label="Weaver" value={version(episode.weaverVersion)} />
        <Stat label="Reward model" value={version(episode.lrmVersion)} />
        <Stat label="Fused judge" value={version(episode.judgeVersion)} />
        {episode.reference !== null && <Stat label="Reference" value={episode.reference} />}
      </dl>
    </Panel>
  )
}

function Feedback({ episode, onLabelled }: { readonly episode: Episode; readonly onLabelled: () => void }) {
  const { client, can } = useSession()
  const [fault, setFault] = useState<unknown>(null)
  if (!can('feedback') || episode.answer === null) return null
  const give = async (correct: boolean) => {
    setFault(null)
    try {
      const params = { path: { id: episode.id } }
      await bodyOf(client.POST('/episodes/{id}/feedback', { params, body: { correct } }))
      onLabelled()
    } catch (thrown) {
      setFault(thrown)
    }
  }
  return (
    <>
      <span class="row labelling">
        <button type="button" class="quiet" onClick={() => give(true)}>
          It is right
        </button>
        <button type="button" class="quiet" onClick={() => give(false)}>
          It is wrong
        </button>
      </span>
      <Fault fault={fault} />
    </>
  )
}

const KINDS = { draft: 'Draft', regeneration: 'Regeneration', sample: 'Sample' } as const

function Answers({ episode: { candidates } }: { readonly episode: Episode }) {
  if (candidates.length === 0)
    return (
      <Panel title="Answers">
        <Empty title="No answer was judged" />
      </Panel>
    )
  const terms = [...new Set(candidates.flatMap(({ rewardTerms }) => Object.keys(rewardTerms)))]
  return (
    <Panel
      title="Answers"
      aside={candidates.length > 1 ? `${count(candidates.length)} in their order` : undefined}
    >
      {/* Scrollable places need the keyboard, too. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <ol class="answers" tabIndex={0} aria-label="Judged answers">
        {candidates.map((candidate, index) => (
          <li key={index} class={candidate.chosen ? 'chosen' : ''}>
            <header>
              <h3>
                {KINDS[candidate.kind]} {index + 1}
              </h3>
              {candidate.chosen && <span class="tag accent">returned</span>}
              <LabelTag {...candidate} />
            </header>
            <p class="answer">{candidate.answer === null ? 'No answer' : `= ${candidate.answer}`}</p>
            <dl>
              <div>
                <dt>reward</dt>
                <dd class="number">{decimals(candidate.reward)}</dd>
              </div>
              {terms.map((term) => (
                <div key={term}>
                  <dt>{term}</dt>
                  <dd class="number">
                    {candidate.rewardTerms[term] === undefined ? '–' : decimals(candidate.rewardTerms[term])}
                  </dd>
                </div>
              ))}
              <div>
                <dt>tokens</dt>
                <dd class="number">{count(candidate.tokens.length)}</dd>
              </div>
            </dl>
            <pre>{candidate.text}</pre>
          </li>
        ))}
      </ol>
    </Panel>
  )
}

function Influence({ influence: { ledBy, led } }: { readonly influence: EpisodeInfluence }) {
  return (
    <div class="columns">
      <Panel title="Led by">
        <Episodes episodes={ledBy} none="No episode led this answer" />
      </Panel>
      <Panel title="It led">
        <Episodes episodes={led} none="It has led no answer so far" />
      </Panel>
    </div>
  )
}

function Episodes({
  episodes,
  none,
}: {
  readonly episodes: readonly EpisodeSummary[]
  readonly none: string
}) {
  if (episodes.length === 0) return <p class="hint">{none}.</p>
  return (
    <ul class="related">
      {episodes.map((episode) => (
        <li key={episode.id}>
          <EpisodeRow episode={episode} />
        </li>
      ))}
    </ul>
  )
}

const plural = (number: number, one: string, many: string) => `${count(number)} ${number === 1 ? one : many}`

/** Sentences about what a deletion changes, or has changed. */
function consequences({ deletion: { withdrawn, released, artifacts } }: EpisodeInfluence): string[] {
  const names = artifacts.map(({ version, active }) => (active ? `${version} (active)` : version))
  return [
    withdrawn === 0
      ? 'No other episode stops leading.'
      : `${plural(withdrawn, 'episode stops', 'episodes stop')} leading, because this one led ${withdrawn === 1 ? 'it' : 'them'}.`,
    ...(released > 0
      ? [`${plural(released, 'episode', 'episodes')} that it keeps back may lead again.`]
      : []),
    names.length === 0
      ? 'No trained version has learned from it.'
      : `Stale until the next night, because they learned from it: ${names.join(', ')}.`,
  ]
}

function Deletion({
  id,
  influence,
  onDeleted,
}: {
  readonly id: string
  readonly influence: EpisodeInfluence
  readonly onDeleted: (influence: EpisodeInfluence) => void
}) {
  const { client, can } = useSession()
  const [isAsked, setAsked] = useState(false)
  const [fault, setFault] = useState<unknown>(null)
  if (!can('delete')) return null
  const remove = async () => {
    setFault(null)
    try {
      await bodyOf(client.DELETE('/episodes/{id}', { params: { path: { id } } }))
      onDeleted(influence)
    } catch (thrown) {
      setFault(thrown)
    }
  }
  return (
    <Panel title="Deletion">
      <p>When this episode is deleted:</p>
      <ul class="consequences">
        {consequences(influence).map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
      <Fault fault={fault} />
      <div class="row">
        {isAsked ? (
          <>
            <button type="button" class="danger" onClick={remove}>
              Delete for ever
            </button>
            <button type="button" onClick={() => setAsked(false)}>
              Keep it
            </button>
          </>
        ) : (
          <button type="button" class="danger" onClick={() => setAsked(true)}>
            Delete …
          </button>
        )}
      </div>
    </Panel>
  )
}

function Deleted({ influence }: { readonly influence: EpisodeInfluence }) {
  return (
    <div class="view memory">
      <h1>Episode deleted</h1>
      <div role="status">
        <ul class="consequences">
          {consequences(influence).map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      </div>
      <p>
        <a href={linkTo('memory')}>All of the memory</a>
      </p>
    </div>
  )
}
