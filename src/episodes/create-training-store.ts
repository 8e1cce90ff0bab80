/** @file What nights read of the memory, and how they thin it out. */

import type { Database } from '#database'
import { countSince } from './sql/count-since.ts'
import { heldOutQuestions } from './sql/held-out-questions.ts'
import { labelledThoughts } from './sql/labelled-thoughts.ts'
import { latentPairs } from './sql/latent-pairs.ts'
import { modelsRemembered } from './sql/models-remembered.ts'
import { retireDominated } from './sql/retire-dominated.ts'
import { snapshotEpisodes } from './sql/snapshot-episodes.ts'
import type { TrainingKey, TrainingStore } from './training-store.ts'

/** Episodes whose latents or thoughts are read at once: of a 7B model, tens of megabytes. */
const PAGE = 32

export function createTrainingStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): TrainingStore {
  return {
    snapshot: (request) => snapshotEpisodes(database, request),

    async *labelledThoughts(fingerprint, episodes) {
      for (const page of pages(episodes)) yield* await labelledThoughts(database, fingerprint, page)
    },

    async *latentPairs(fingerprint, episodes) {
      for (const page of pages(episodes)) yield* await latentPairs(database, fingerprint, page)
    },

    heldOutQuestions: (fingerprint, episodes, limit) =>
      heldOutQuestions(database, fingerprint, episodes, limit),

    models: () => modelsRemembered(database),

    async retireDominated(fingerprint, tenants) {
      let retired = 0
      for (const tenantId of tenants) retired += await retireDominated(database, tenantId, fingerprint)
      return retired
    },

    countSince: (fingerprint, since) => countSince(database, fingerprint, since),
  }
}

function* pages(episodes: readonly TrainingKey[]): Iterable<readonly TrainingKey[]> {
  for (let start = 0; start < episodes.length; start += PAGE) yield episodes.slice(start, start + PAGE)
}
