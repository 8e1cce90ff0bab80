/**
 * @file A program for tests to kill: adds episodes to the embedded database in `argv[2]` and prints each
 * acknowledged id.
 */

import { migrate, openDatabase } from '#database'
import { createEpisodeStore, createOutbox } from '#episodes'
import { connectQueues } from '#jobs'
import { newEpisode } from './episodes.ts'
import { MIGRATIONS, silent } from './test-database.ts'

const dataDir = process.argv[2]
if (dataDir === undefined) throw new Error('episode-writer: expected a data directory')

const database = await openDatabase({ dataDir, logger: silent })
await migrate(database.pool, MIGRATIONS)
const store = createEpisodeStore({ database })
connectQueues({ database, logger: silent }).startWorker({ store, outbox: createOutbox({ database }) })
console.log('open')
for (;;) {
  const episode = newEpisode()
  await store.add(episode)
  console.log(`added ${episode.id}`)
}
