/** @file The use of BullMQ that both backends share: queues as `JobQueue`, workers, pauses, log lines. */

import { setTimeout as delay } from 'node:timers/promises'
import {
  type IQueueBackend,
  isNotConnectionError,
  type Job,
  type JobProgress,
  type Queue,
  WaitingError,
  Worker,
} from 'bullmq'
import { coerceError, ServiceError } from '#errors'
import { kindOf, type ThrottledLog } from '#throttle-log'
import { CONSOLIDATION_DUE, type NewJob, type QueueName } from './contracts.ts'
import { type JobProcessor, type JobQueue, type JobWorker, RequeueError } from './job-queue.ts'
import { keepOpening, type Opening, unlessStopped } from './keep-opening.ts'

/** Id of the only job scheduler: setting it again replaces it. Queues store the id, so it must not change. */
const SCHEDULER_ID = 'night'
const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 5_000
const CLOSE_TIMEOUT_MS = 2_000

/** The part of a BullMQ queue that is used here: the type of a queue depends on its backend. */
export interface BullQueue
  extends Pick<
    Queue,
    | 'name'
    | 'addBulk'
    | 'getJobState'
    | 'remove'
    | 'upsertJobScheduler'
    | 'removeJobScheduler'
    | 'getWaitingCount'
    | 'close'
  > {
  waitUntilReady(): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** The part of a BullMQ worker that is used here. */
export interface BullWorker {
  readonly name: string
  waitUntilReady(): Promise<unknown>
  run(): Promise<void>
  close(force?: boolean): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'stalled', listener: (jobId: string) => void): unknown
  on(event: 'lockRenewalFailed', listener: (jobIds: string[]) => void): unknown
  on(event: 'failed', listener: (job: FailedJob | undefined, error: Error) => void): unknown
}

interface FailedJob {
  readonly id?: string | undefined
  readonly attemptsMade: number
  readonly data: unknown
}

/**
 * BullMQ's worker with a pause after a failed fetch of a job, 1 s growing to 5 s. The base class fetches again
 * at once unless the error is one of the connection, hundreds of times a second.
 */
export class PacedWorker<Backend extends IQueueBackend, Connection> extends Worker<
  unknown,
  void,
  string,
  Backend,
  JobProgress,
  Connection
> {
  readonly #stopping = new AbortController()
  #pauseMs = FIRST_PAUSE_MS

  protected override async moveToActive(token: string, name?: string): Promise<Job<unknown, void, string>> {
    try {
      const job = await super.moveToActive(token, name)
      this.#pauseMs = FIRST_PAUSE_MS
      return job
    } catch (thrown) {
      const error = coerceError(thrown)
      if (isNotConnectionError(error) && !this.#stopping.signal.aborted) {
        await delay(this.#pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
        this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS)
      }
      throw error
    }
  }

  override close(force?: boolean): Promise<void> {
    this.#stopping.abort()
    return super.close(force)
  }
}

/** Facts about a backend that opening its queues and workers needs. */
export interface BackendTraits {
  readonly log: ThrottledLog
  /** Returns an error with what to do when `error` cannot pass; null when it may pass. */
  readonly finalError: (error: Error) => ServiceError | null
  /** Called once, with the first error that cannot pass. If omitted, opening is tried for ever. */
  readonly onFatal?: ((error: ServiceError) => void) | undefined
}

export interface OpenQueue extends JobQueue {
  /** Asks the queue for its length. @throws ServiceError QUEUE_UNAVAILABLE */
  ping(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens a queue in the background.
 * @param isConnected whether its connection is known to be up
 */
export function openQueue(
  { create, isConnected }: { create: () => Promise<BullQueue>; isConnected: () => boolean },
  traits: BackendTraits,
): OpenQueue {
  const { log } = traits
  const opening = keepOpening<BullQueue>({
    async open(stopping) {
      const queue = await unlessStopped(create(), stopping)
      // An `error` event without a listener ends the process.
      queue.on('error', (error) => logQueueError(log, queue.name, error))
      // The probe finds a queue that opens and cannot work: a pooler in front of it drops the search path.
      await untilReady(queue, stopping, () => queue.getWaitingCount())
      return queue
    },
    close: (queue) => queue.close(),
    onFailure: (error) => noteFailure(error, traits),
  })
  return {
    isReady: () => opening.current() !== null && isConnected(),
    async ping() {
      await asking(opening, async (queue) => {
        await queue.getWaitingCount()
      })
    },
    async add(jobs) {
      const queue = await opening.get()
      if (queue.name === ('consolidations' satisfies QueueName)) await removeLost(queue, jobs)
      await queue.addBulk(
        jobs.map(({ id, name, payload, turn }) => ({
          name,
          data: payload,
          opts: { jobId: id, ...(turn !== undefined && { priority: turn }) },
        })),
      )
    },
    async scheduleConsolidations(cron) {
      const queue = await opening.get()
      if (cron === null) {
        await queue.removeJobScheduler(SCHEDULER_ID)
        return
      }
      // UTC: a time means the same moment on every worker.
      const repeat = { pattern: cron, tz: 'UTC' }
      const opts = { removeOnComplete: true, removeOnFail: true }
      await queue.upsertJobScheduler(SCHEDULER_ID, repeat, { name: CONSOLIDATION_DUE, data: {}, opts })
    },
    close: () => opening.close(),
  }
}

/**
 * Opens a worker in the background; it runs jobs once it is open.
 * @param mayWait whether its connection is up, so that closing may wait for the current jobs
 */
export function openWorker(
  { create, mayWait }: { create: () => Promise<BullWorker>; mayWait: () => boolean },
  traits: BackendTraits,
): JobWorker {
  const { log } = traits
  const opening = keepOpening<BullWorker>({
    async open(stopping) {
      const worker = await unlessStopped(create(), stopping)
      logWorkerEvents(worker, log)
      await untilReady(worker, stopping)
      worker.run().catch((error: unknown) => logQueueError(log, worker.name, coerceError(error)))
      return worker
    },
    // Without a connection no job can be finished, so the worker closes without waiting for its jobs.
    close: (worker) => worker.close(!mayWait()),
    onFailure: (error) => noteFailure(error, traits),
  })
  return { close: () => opening.close() }
}

/**
 * Removes jobs that are in no list. A Redis without memory may take a job out of one list and not put it into
 * the next: its id, which is that of its consolidation, would never be free again.
 */
async function removeLost(queue: BullQueue, jobs: readonly NewJob[]): Promise<void> {
  for (const { id } of jobs) {
    if ((await queue.getJobState(id)) === 'unknown') await queue.remove(id)
  }
}

async function untilReady<Part extends { waitUntilReady(): Promise<unknown>; close(): Promise<unknown> }>(
  part: Part,
  stopping: AbortSignal,
  probe: () => Promise<unknown> = async () => {},
): Promise<void> {
  try {
    await unlessStopped(part.waitUntilReady(), stopping)
    await unlessStopped(probe(), stopping)
  } catch (error) {
    // The database may be closed next, so connections must be gone; one that hangs while it connects is left.
    const waited = new AbortController()
    const closed = part.close().catch(() => {})
    await Promise.race([
      closed,
      delay(CLOSE_TIMEOUT_MS, undefined, { signal: waited.signal }).catch(() => {}),
    ])
    waited.abort()
    throw error
  }
}

async function asking<Part>(opening: Opening<Part>, ask: (part: Part) => Promise<void>): Promise<void> {
  try {
    await ask(await opening.get())
  } catch (thrown) {
    const error = coerceError(thrown)
    throw new ServiceError('QUEUE_UNAVAILABLE', `ping: expected the queue to answer, got ${error.message}`, {
      cause: error,
    })
  }
}

function noteFailure(error: Error, { log, finalError, onFatal }: BackendTraits): boolean {
  const final = finalError(error)
  if (final !== null && onFatal !== undefined) {
    onFatal(final)
    return true
  }
  const details = { err: final ?? error }
  log.warn(`open ${kindOf(error)}`, details, 'queue cannot be opened: trying again, jobs wait in the outbox')
  return false
}

/** Adapts a processor for BullMQ: a job whose processor throws `RequeueError` goes back to the queue. */
export function toBullProcessor(process: JobProcessor) {
  return async (job: Job, token?: string): Promise<void> => {
    try {
      await process(job)
    } catch (thrown) {
      if (!(thrown instanceof RequeueError)) throw thrown
      await job.moveToWait(token)
      throw new WaitingError()
    }
  }
}

/** Logs an error of a queue, a worker or a connection: all three report the same outage. */
export function logQueueError(log: ThrottledLog, queue: string | undefined, error: Error): void {
  log.warn(`queue ${kindOf(error)}`, { err: error, queue }, 'queue error')
}

/** Logs the events of a worker: an `error` event without a listener ends the process. */
function logWorkerEvents(worker: BullWorker, log: ThrottledLog): void {
  const queue = worker.name
  worker.on('error', (error) => logQueueError(log, queue, error))
  worker.on('stalled', (jobId) => log.warn('stalled', { queue, jobId }, 'worker of a job died: job requeued'))
  worker.on('lockRenewalFailed', (jobIds) =>
    log.warn('lockRenewalFailed', { queue, jobIds }, 'job locks not renewed'),
  )
  worker.on('failed', (job, error) =>
    log.warn(
      `failed ${kindOf(error)}`,
      { err: error, queue, jobId: job?.id, reqId: requestIdOf(job?.data), attempts: job?.attemptsMade },
      'job failed',
    ),
  )
}

/** Returns the id of the request that caused a job; undefined when the payload has none. */
export function requestIdOf(payload: unknown): string | undefined {
  const id =
    typeof payload === 'object' && payload !== null && 'requestId' in payload ? payload.requestId : undefined
  return typeof id === 'string' ? id : undefined
}
