import { UnrecoverableError } from 'bullmq'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, ServiceError } from '#errors'
import { createProcessor } from '../../../src/jobs/process-job.ts'
import { toJobError } from '../../../src/jobs/retry.ts'

const JOB = { attemptsMade: 0, id: '1', name: 'episode.index', data: { tenantId: 't', episodeId: 'e' } }

function processorThat(index: () => Promise<void>) {
  const calls: unknown[][] = []
  const process = createProcessor({
    store: {
      index: (...call) => {
        calls.push(call)
        return index()
      },
    },
  })
  return { process, calls }
}

describe('createProcessor', () => {
  it('indexes the episode that the job names', async () => {
    const { process, calls } = processorThat(async () => {})
    await process(JOB)
    expect(calls).toEqual([['t', 'e']])
  })

  it('accepts a payload with fields of a later release', async () => {
    const { process, calls } = processorThat(async () => {})
    await process({ ...JOB, data: { ...JOB.data, later: true } })
    expect(calls).toEqual([['t', 'e']])
  })

  it('throws UnrecoverableError for an unknown name or an invalid payload', async () => {
    const { process, calls } = processorThat(async () => {})
    const strange = [
      { ...JOB, name: 'episode.eat' },
      { ...JOB, name: 'toString' },
    ]
    for (const data of [
      null,
      {},
      { tenantId: 't' },
      { tenantId: '', episodeId: 'e' },
      { tenantId: 't', episodeId: 1 },
    ]) {
      strange.push({ ...JOB, data: data as never })
    }
    for (const job of strange) await expect(process(job)).rejects.toBeInstanceOf(UnrecoverableError)
    expect(calls).toEqual([])
  })

  it('succeeds when the episode has been deleted', async () => {
    const { process } = processorThat(async () => {
      throw new ServiceError('EPISODE_NOT_FOUND', 'gone')
    })
    await process(JOB)
  })
})

describe('toJobError', () => {
  const passing = [
    'SESSION_FAILED',
    'ENGINE_CRASHED',
    'ENGINE_OVERLOADED',
    'ENGINE_UNAVAILABLE',
    'ABORTED',
    'STORE_UNAVAILABLE',
    'QUEUE_UNAVAILABLE',
    'WEBHOOK_FAILED',
    'SHUTTING_DOWN',
    'INTERNAL',
  ]

  it.each(ERROR_CODES)('decides whether %s is tried again', (code) => {
    const error = new ServiceError(code, 'x')
    const thrown = toJobError(error)
    expect(thrown instanceof UnrecoverableError).toBe(!passing.includes(code))
    expect(thrown === error || thrown.cause === error).toBe(true)
  })

  it('lets an error without a code of this service be tried again', () => {
    const foreign = Object.assign(new Error('x'), { code: 'EWHATEVER' })
    expect(toJobError(foreign)).toBe(foreign)
    expect(toJobError('text')).not.toBeInstanceOf(UnrecoverableError)
  })
})
