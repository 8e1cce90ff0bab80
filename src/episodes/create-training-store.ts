/** @file The training store over Postgres; reads large material in pages. */

import type { Database } from '#database'
import { answeredQuestions } from './sql/answered-questions.ts'
import { askedQuestions } from './sql/asked-questions.ts'
import { countPending } from './sql/count-pending.ts'
import { countSince } from './sql/count-since.ts'
import { excludeDominated } from './sql/exclude-dominated.ts'
import { heldOutQuestions } from './sql/held-out-questions.ts'
import { labelledAnswers } from './sql/labelled-answers.ts'
import { labelledThoughts } from './sql/labelled-thoughts.ts'
import { latentPairs } from './sql/latent-pairs.ts'
import { learningDays } from './sql/learning-days.ts'
import { listModels } from './sql/list-models.ts'
import { servedOutcomes } from './sql/served-outcomes.ts'
import { snapshotEpisodes } from './sql/snapshot-episodes.ts'
import { thinThoughts } from './sql/thin-thoughts.ts'
import { uncertainQuestions } from './sql/uncertain-questions.ts'
import type { StoredQuestion, TrainingKey, TrainingStore } from './training-store.ts'

/** Upper bound on the episodes of a page. */
const MAX_PAGE_EPISODES = 32
/**
 * Bytes that a page of latents or thoughts aims at. The driver decodes a page in stretches of the event loop, and
 * other clients of the embedded database wait while it is read: 4 MiB take some 60 ms.
 */
const PAGE_BYTES = 2 ** 22

export function createTrainingStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): TrainingStore {
  return {
    snapshot: (request) => snapshotEpisodes(database, request),

    async *askedQuestions(fingerprint, episodes) {
      yield* inPages(episodes, (page) => askedQuestions(database, fingerprint, page), embeddingBytes)
    },

    async *labelledThoughts(fingerprint, episodes) {
      yield* inPages(
        episodes,
        (page) => labelledThoughts(database, fingerprint, page),
        ({ thought }) => thought.bytes.length,
      )
    },

    async *labelledAnswers(fingerprint, episodes, withThoughts) {
      yield* inPages(
        episodes,
        (page) => labelledAnswers(database, fingerprint, page, withThoughts),
        ({ thought }) => (thought?.bytes.length ?? 0) + ANSWER_BYTES,
      )
    },

    async *latentPairs(fingerprint, episodes) {
      yield* inPages(
        episodes,
        (page) => latentPairs(database, fingerprint, page),
        (pair) => embeddingBytes(pair) + pair.zBase.bytes.length + pair.zStar.bytes.length,
      )
    },

    heldOutQuestions: (fingerprint, episodes, options) =>
      heldOutQuestions(database, fingerprint, episodes, options),

    uncertainQuestions: (fingerprint, options) => uncertainQuestions(database, fingerprint, options),
    answeredQuestions: (fingerprint, options) => answeredQuestions(database, fingerprint, options),
    servedOutcomes: (request) => servedOutcomes(database, request),
    learningDays: (request) => learningDays(database, request),
    countPending: (fingerprint) => countPending(database, fingerprint),

    models: () => listModels(database),

    async excludeDominated(fingerprint, tenants) {
      let excluded = 0
      for (const tenantId of tenants) excluded += await excludeDominated(database, tenantId, fingerprint)
      return excluded
    },

    async thinThoughts(fingerprint, episodes) {
      let deleted = 0
      for (let start = 0; start < episodes.length; start += MAX_PAGE_EPISODES) {
        const page = episodes.slice(start, start + MAX_PAGE_EPISODES)
        deleted += await thinThoughts(database, fingerprint, page)
      }
      return deleted
    },

    countSince: (fingerprint, since) => countSince(database, fingerprint, since),
  }
}

/** About the bytes of a labelled answer without its thought. */
const ANSWER_BYTES = 500

/** Reads episodes in pages: first one episode, then as many as the bytes of the last page allow. */
async function* inPages<Row>(
  episodes: readonly TrainingKey[],
  read: (page: readonly TrainingKey[]) => Promise<readonly Row[]>,
  bytesOf: (row: Row) => number,
): AsyncIterable<Row> {
  let size = 1
  for (let start = 0; start < episodes.length; ) {
    const page = episodes.slice(start, start + size)
    const rows = await read(page)
    start += page.length
    const bytes = rows.reduce((sum, row) => sum + bytesOf(row), 0)
    const fitting = Math.floor((PAGE_BYTES * page.length) / Math.max(1, bytes))
    size = Math.max(1, Math.min(MAX_PAGE_EPISODES, 2 * size, fitting))
    yield* rows
  }
}

/** Bytes of latents that take as long to read as an embedding, which comes as text. */
function embeddingBytes({ embedding }: Pick<StoredQuestion, 'embedding'>): number {
  return 100 * embedding.length
}
