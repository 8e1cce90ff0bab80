/** @file The episodes that would lead the answer to a question. */

import { useRef, useState } from 'preact/hooks'
import { bodyOf, type EpisodeNeighbours, isAbort } from '../../api.ts'
import { decimals } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Empty, Panel } from '../../parts/panel.tsx'
import { linkTo } from '../../route.ts'
import { useSession } from '../../session.tsx'

const TOP = 8

/** @param onFound called with the ids of the neighbours, to mark them on the map */
export function Neighbours({ onFound }: { readonly onFound: (ids: ReadonlySet<string>) => void }) {
  const { client } = useSession()
  const [found, setFound] = useState<EpisodeNeighbours | null>(null)
  const [fault, setFault] = useState<unknown>(null)
  const [isSearching, setSearching] = useState(false)
  const search = useRef<AbortController | null>(null)

  async function find(question: string) {
    search.current?.abort()
    const left = new AbortController()
    search.current = left
    setSearching(true)
    setFault(null)
    try {
      const body = { question, topK: TOP }
      const answer = await bodyOf(client.POST('/episodes/search', { signal: left.signal, body }))
      setFound(answer)
      onFound(new Set(answer.neighbours.map(({ episode }) => episode.id)))
    } catch (thrown) {
      if (!isAbort(thrown)) setFault(thrown)
    } finally {
      if (search.current === left) setSearching(false)
    }
  }

  return (
    <Panel title="Neighbours of a question">
      <form
        class="ask-neighbours"
        onSubmit={(event) => {
          event.preventDefault()
          const question = String(new FormData(event.currentTarget).get('question') ?? '').trim()
          if (question !== '') find(question)
        }}
      >
        <textarea
          name="question"
          aria-label="Question without an answer yet"
          rows={2}
          maxLength={16_384}
          placeholder="A question; it is not answered"
        />
        <button type="submit" disabled={isSearching}>
          {isSearching ? 'Searching …' : 'Find similar'}
        </button>
      </form>
      <Fault fault={fault} />
      {found === null ? (
        <p class="hint">
          What would lead the answer to a question: its nearest episodes, by the same search that every answer
          begins with.
        </p>
      ) : found.neighbours.length === 0 ? (
        <Empty title="No episode would lead this answer" />
      ) : (
        <ol class="neighbours">
          {found.neighbours.map(({ similarity, episode }) => (
            <li key={episode.id}>
              <a href={linkTo('memory', episode.id)}>{episode.question.slice(0, 200)}</a>
              <span class="number">{decimals(similarity, 3)}</span>
              <meter min={0} max={1} value={Math.max(0, similarity)} aria-label="Similarity" />
            </li>
          ))}
        </ol>
      )}
    </Panel>
  )
}
