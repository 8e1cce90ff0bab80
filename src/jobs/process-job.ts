/** @file The processor of the queue `episodes`: checks the payload, does the job, marks final errors. */

import { Compile } from 'typebox/compile'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import { CONSOLIDATION_DUE, INDEX_EPISODE, IndexEpisode } from './contracts.ts'
import type { JobProcessor, QueuedJob } from './job-queue.ts'
import { toJobError } from './retry.ts'

const indexEpisodePayload = Compile(IndexEpisode)

export interface ProcessorParts {
  readonly store: Pick<EpisodeStore, 'index'>
  /** Requests the consolidations that are due by schedule; omitted by a worker without consolidations. */
  readonly requestConsolidations?: () => Promise<unknown>
}

/** A job may arrive twice, or again after it was half done, so every call made here is idempotent. */
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
    // The episode was deleted while its job was queued: nothing is left to do.
    if (!hasCode(thrown, 'EPISODE_NOT_FOUND')) throw thrown
  }
}
