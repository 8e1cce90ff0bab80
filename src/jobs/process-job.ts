/** @file The processor of the day's queue: checks a payload, calls the room that does the work, sorts its errors. */

import { Compile } from 'typebox/compile'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import { CONSOLIDATION_DUE, INDEX_EPISODE, IndexEpisode } from './contracts.ts'
import type { JobProcessor, QueuedJob } from './job-queue.ts'
import { toJobError } from './retry.ts'

const indexEpisodePayload = Compile(IndexEpisode)

export interface ProcessorParts {
  readonly store: Pick<EpisodeStore, 'index'>
  /** Asks for the nights that are due by schedule; a worker without nights has none to ask for. */
  readonly requestConsolidations?: () => Promise<unknown>
}

/** Every job may come twice, or again after it was half done: what is called here leaves the same state. */
export function createProcessor({
  store,
  requestConsolidations = async () => {},
}: ProcessorParts): JobProcessor {
  return async (job) => {
    try {
      if (job.name === INDEX_EPISODE) await indexEpisode(store, job)
      else if (job.name === CONSOLIDATION_DUE) await requestConsolidations()
      else throw new ServiceError('REQUEST_INVALID', `process job: expected a known name, got ${job.name}`)
    } catch (thrown) {
      throw toJobError(thrown)
    }
  }
}

async function indexEpisode(store: ProcessorParts['store'], job: QueuedJob): Promise<void> {
  const { data } = job
  if (!indexEpisodePayload.Check(data)) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `index episode: expected {tenantId, episodeId}, got job ${job.id}`,
    )
  }
  try {
    await store.index(data.tenantId, data.episodeId)
  } catch (thrown) {
    // Deleted while it waited in line: nothing is left to do.
    if (!hasCode(thrown, 'EPISODE_NOT_FOUND')) throw thrown
  }
}
