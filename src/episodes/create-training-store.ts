/** @file What nights read of the memory. */

import type { Database } from '#database'
import { countSince } from './sql/count-since.ts'
import { labelledThoughts } from './sql/labelled-thoughts.ts'
import { latentPairs } from './sql/latent-pairs.ts'
import { snapshotEpisodes } from './sql/snapshot-episodes.ts'
import type { TrainingKey, TrainingStore } from './training-types.ts'

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

    countSince: (fingerprint, since) => countSince(database, fingerprint, since),
  }
}

function* pages(episodes: readonly TrainingKey[]): Iterable<readonly TrainingKey[]> {
  for (let start = 0; start < episodes.length; start += PAGE) yield episodes.slice(start, start + PAGE)
}
