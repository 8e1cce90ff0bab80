/** @file The list of episodes with its filters. Only the rows in sight are in the page. */

import { useEffect, useRef, useState } from 'preact/hooks'
import { bodyOf, type EpisodeSummary, isAbort, type operations } from '../../api.ts'
import { count, decimals, moment } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { linkTo } from '../../route.ts'
import { useSession } from '../../session.tsx'
import { LabelTag, SteeringTag } from './episode-tags.tsx'

type Filter = Omit<NonNullable<operations['listEpisodes']['parameters']['query']>, 'limit' | 'cursor'>

const PAGE_EPISODES = 100
/** Height of a row in px, the same in memory.css. */
const ROW_HEIGHT = 64
/** Rows beyond the edges that are in the page. */
const MARGIN_ROWS = 6
/** Pause after a key before the list is read. */
const TYPING_MS = 250

export function EpisodeList() {
  const [filter, setFilter] = useState<Filter>({})
  const pages = usePages(filter)
  const isFiltered = Object.keys(filter).length > 0
  const { episodes, isComplete, fault } = pages
  const size = episodes === null ? '' : `${count(episodes.length)}${isComplete ? '' : ' so far'}`
  return (
    <Panel title="Episodes" aside={size}>
      <Filters onChange={setFilter} />
      <Fault fault={fault} onRetry={pages.retry} />
      {episodes?.length === 0 &&
        (isFiltered ? (
          <Empty title="No episode passes these filters" />
        ) : (
          <Empty title="No episodes yet">
            <p>
              Ask a question in <a href={linkTo('ask')}>Ask</a>: its answer is kept here, with everything that
              was tried on the way.
            </p>
          </Empty>
        ))}
      {episodes !== null && episodes.length > 0 && <Rows {...pages} episodes={episodes} />}
    </Panel>
  )
}

interface Pages {
  /** null: not read yet. */
  readonly episodes: readonly EpisodeSummary[] | null
  readonly isComplete: boolean
  readonly fault: unknown
  readMore(): void
  retry(): void
}

/** Reads the episodes that pass a filter, page by page. */
function usePages(filter: Filter): Pages {
  const { client, comeback } = useSession()
  const [episodes, setEpisodes] = useState<readonly EpisodeSummary[] | null>(null)
  const [cursor, setCursor] = useState<string | null>(null)
  const [fault, setFault] = useState<unknown>(null)
  const [turn, setTurn] = useState(0)
  const reading = useRef<AbortController | null>(null)

  const read = async (from: string | null) => {
    reading.current?.abort()
    const left = new AbortController()
    reading.current = left
    const query = { ...filter, limit: PAGE_EPISODES, ...(from !== null && { cursor: from }) }
    try {
      const page = await bodyOf(client.GET('/episodes', { signal: left.signal, params: { query } }))
      if (left.signal.aborted) return
      setEpisodes((known) => (from === null ? page.episodes : [...(known ?? []), ...page.episodes]))
      setCursor(page.nextCursor)
      setFault(null)
    } catch (thrown) {
      if (!left.signal.aborted && !isAbort(thrown)) setFault(thrown)
    } finally {
      if (reading.current === left) reading.current = null
    }
  }

  useEffect(() => {
    read(null)
    return () => reading.current?.abort()
  }, [client, comeback, turn, JSON.stringify(filter)])

  return {
    episodes,
    isComplete: cursor === null,
    fault,
    readMore() {
      if (cursor !== null && reading.current === null && fault === null) read(cursor)
    },
    retry: () => setTurn((before) => before + 1),
  }
}

function Rows({ episodes, isComplete, readMore }: Pages & { readonly episodes: readonly EpisodeSummary[] }) {
  const box = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(600)

  useEffect(() => {
    const target = box.current
    if (target === null) return
    const watch = new ResizeObserver(() => setHeight(target.clientHeight))
    watch.observe(target)
    return () => watch.disconnect()
  }, [])

  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - MARGIN_ROWS)
  const last = Math.min(episodes.length, Math.ceil((top + height) / ROW_HEIGHT) + MARGIN_ROWS)
  useEffect(() => {
    if (last >= episodes.length - MARGIN_ROWS) readMore()
  })

  return (
    <div class="rows" ref={box} onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}>
      <ul style={{ height: `${episodes.length * ROW_HEIGHT}px` }}>
        {episodes.slice(first, last).map((episode, index) => (
          <li
            key={episode.id}
            style={{ top: `${(first + index) * ROW_HEIGHT}px` }}
            aria-posinset={first + index + 1}
            aria-setsize={isComplete ? episodes.length : -1}
          >
            <EpisodeRow episode={episode} />
          </li>
        ))}
      </ul>
    </div>
  )
}

/** A link to an episode: question, answer and what is known of it. */
export function EpisodeRow({ episode }: { readonly episode: EpisodeSummary }) {
  return (
    <a class="episode" href={linkTo('memory', episode.id)}>
      <span class="asks">{episode.question.slice(0, 300)}</span>
      <span class="reward number" title={`reward ${episode.reward}`}>
        {decimals(episode.reward)}
      </span>
      <span class="facts">
        <span class="given">
          {episode.answer === null ? 'no answer' : `= ${episode.answer.slice(0, 120)}`}
        </span>
        <LabelTag {...episode} />
        <SteeringTag {...episode} />
        <span class="strategy">{episode.strategy}</span>
        <time dateTime={episode.createdAt}>{moment(episode.createdAt)}</time>
      </span>
    </a>
  )
}

const STRATEGIES = ['auto', 'greedy', 'latentseek', 'majority', 'lto', 'best-of-n', 'fork'] as const

/** Reads the list again a moment after the last key. */
function Filters({ onChange }: { readonly onChange: (filter: Filter) => void }) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const change = (form: HTMLFormElement, pauseMs: number) => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => onChange(readFilter(new FormData(form))), pauseMs)
  }
  return (
    <form
      class="filters"
      onSubmit={(event) => {
        event.preventDefault()
        change(event.currentTarget, 0)
      }}
      onInput={(event) => change(event.currentTarget, TYPING_MS)}
      onReset={(event) => change(event.currentTarget, 0)}
    >
      <label class="wide">
        Question
        <input name="question" type="search" maxLength={256} placeholder="any part of it" />
      </label>
      <label>
        Answer
        <input name="answer" type="search" maxLength={1024} placeholder="the whole answer" />
      </label>
      <label>
        Label
        <select name="label">
          <option value="">any</option>
          <option value="right">right</option>
          <option value="wrong">wrong</option>
          <option value="unknown">none</option>
        </select>
      </label>
      <label>
        Leads others
        <select name="steers">
          <option value="">any</option>
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      </label>
      <label>
        Strategy
        <select name="strategy">
          <option value="">any</option>
          {STRATEGIES.map((strategy) => (
            <option key={strategy}>{strategy}</option>
          ))}
        </select>
      </label>
      <label>
        Reward from
        <input name="minReward" type="number" min="-1" max="0" step="0.05" placeholder="−1" />
      </label>
      <label>
        to
        <input name="maxReward" type="number" min="-1" max="0" step="0.05" placeholder="0" />
      </label>
      <button type="reset" class="quiet">
        Clear
      </button>
    </form>
  )
}

function readFilter(form: FormData): Filter {
  const text = (name: string) => String(form.get(name) ?? '').trim() || undefined
  const reward = (name: string) => {
    const value = text(name)
    return value === undefined ? undefined : Math.min(0, Math.max(-1, Number(value)))
  }
  const steers = text('steers')
  const filter = {
    question: text('question'),
    answer: text('answer'),
    label: text('label'),
    steers: steers === undefined ? undefined : steers === 'true',
    strategy: text('strategy'),
    minReward: reward('minReward'),
    maxReward: reward('maxReward'),
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Filter
}
