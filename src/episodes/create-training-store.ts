/** @file The training store over Postgres; reads large material in pages. */

import type { Database } from '#database'
import { askedQuestions } from './sql/asked-questions.ts'
import { countPending } from './sql/count-pending.ts'
import { countSince } from './sql/count-since.ts'
import { excludeDominated } from './sql/exclude-dominated.ts'
import { heldOutQuestions } from './sql/held-out-questions.ts'
import { labelledThoughts } from './sql/labelled-thoughts.ts'
import { latentPairs } from './sql/latent-pairs.ts'
import { listModels } from './sql/list-models.ts'
import { servedOutcomes } from './sql/served-outcomes.ts'
import { snapshotEpisodes } from './sql/snapshot-episodes.ts'
import { thinThoughts } from './sql/thin-thoughts.ts'
import { uncertainQuestions } from './sql/uncertain-questions.ts'
import type { TrainingKey, TrainingStore } from './training-store.ts'

/** Number of episodes whose latents or thoughts are read at once: tens of megabytes for a 7B model. */
const PAGE_EPISODES = 32

export function createTrainingStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): TrainingStore {
  return {
    snapshot: (request) => snapshotEpisodes(database, request),

    async *askedQuestions(fingerprint, episodes) {
      for (const page of pages(episodes)) yield* await askedQuestions(database, fingerprint, page)
    },

    async *labelledThoughts(fingerprint, episodes) {
      for (const page of pages(episodes)) yield* await labelledThoughts(database, fingerprint, page)
    },

    async *latentPairs(fingerprint, episodes) {
      for (const page of pages(episodes)) yield* await latentPairs(database, fingerprint, page)
    },

    heldOutQuestions: (fingerprint, episodes, limit) =>
      heldOutQuestions(database, fingerprint, episodes, limit),

    uncertainQuestions: (fingerprint, options) => uncertainQuestions(database, fingerprint, options),
    servedOutcomes: (request) => servedOutcomes(database, request),
    countPending: (fingerprint) => countPending(database, fingerprint),

    models: () => listModels(database),

    async excludeDominated(fingerprint, tenants) {
      let excluded = 0
      for (const tenantId of tenants) excluded += await excludeDominated(database, tenantId, fingerprint)
      return excluded
    },

    async thinThoughts(fingerprint, episodes) {
      let deleted = 0
      for (const page of pages(episodes)) deleted += await thinThoughts(database, fingerprint, page)
      return deleted
    },

    countSince: (fingerprint, since) => countSince(database, fingerprint, since),
  }
}

function* pages(episodes: readonly TrainingKey[]): Iterable<readonly TrainingKey[]> {
  for (let start = 0; start < episodes.length; start += PAGE_EPISODES)
    yield episodes.slice(start, start + PAGE_EPISODES)
}
