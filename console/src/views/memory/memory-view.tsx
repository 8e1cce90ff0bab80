/** @file The memory: a map of it, the neighbours of a question, the list of episodes, and one episode. */

import { useState } from 'preact/hooks'
import { bodyOf } from '../../api.ts'
import type { Route } from '../../route.ts'
import { useSession } from '../../session.tsx'
import { useQuery } from '../../use-query.ts'
import { EpisodeList } from './episode-list.tsx'
import { EpisodePage } from './episode-page.tsx'
import { MemoryMap } from './memory-map.tsx'
import { Neighbours } from './neighbours.tsx'

/** Newest episodes on the map. */
const MAP_EPISODES = 5_000

export function MemoryView({ route: [id] }: { readonly route: Route }) {
  return id === undefined ? <Overview /> : <EpisodePage key={id} id={id} />
}

function Overview() {
  const { client } = useSession()
  const [near, setNear] = useState<ReadonlySet<string>>(new Set())
  const map = useQuery(
    (signal) => bodyOf(client.GET('/episodes/map', { signal, params: { query: { limit: MAP_EPISODES } } })),
    [],
  )
  return (
    <div class="view memory">
      <div class="head">
        <h1>Memory</h1>
        <p class="lead">
          Every answer is kept as an episode. Good ones lead the answers to similar questions.
        </p>
      </div>
      <div class="overview">
        <MemoryMap map={map.data} fault={map.fault} onRetry={map.reload} near={near} />
        <Neighbours onFound={setNear} />
      </div>
      <EpisodeList />
    </div>
  )
}
