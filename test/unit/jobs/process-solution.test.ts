import { expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { RequeueError } from '../../../src/jobs/job-queue.ts'
import { createSolutionProcessor, type SolutionParts } from '../../../src/jobs/process-solution.ts'

function world() {
  const stopping = new AbortController()
  const log: unknown[] = []
  const state = {
    begun: { request: 'question', isRetry: false } as { request: unknown; isRetry: boolean } | null,
    isWanted: true,
    webhook: null as Awaited<ReturnType<SolutionParts['store']['webhook']>>,
  }
  const parts: SolutionParts = {
    store: {
      begin: async () => state.begun,
      keep: async () => state.isWanted,
      webhook: async () => state.webhook,
      finish: async (...outcome) => void log.push(outcome),
    },
    episodes: {
      async remove(...id) {
        log.push(['remove', ...id])
        throw new ServiceError('EPISODE_NOT_FOUND', 'gone')
      },
    },
    solve: async (request, { id, requestId }) => ({ request, id, requestId }),
    callWebhook: async (url, { id }) => void log.push(['call', url, id]),
    problemOf: (error, id) => [String(error), id],
  }
  const data = { tenantId: 'acme', solutionId: 's', requestId: 'r' }
  const run = (
    over: Partial<SolutionParts> = {},
    attemptsMade = 0,
    payload: unknown = data,
    name = 'solution.run',
  ) =>
    createSolutionProcessor(
      { ...parts, ...over },
      stopping.signal,
    )({
      id: 'job',
      name,
      data: payload,
      attemptsMade,
    })
  return { run, log, state, stopping }
}
const whenAborted: SolutionParts['solve'] = (_request, { signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new ServiceError('ABORTED', 'solve: aborted')))
  })

test('stores the answer, under the id of the record', async () => {
  const { run, log } = world()
  await run()
  expect(log).toEqual([['acme', 's', 'succeeded', { request: 'question', id: 's', requestId: 'r' }]])
})

test('does nothing for a question that has ended', async () => {
  const { run, log, state } = world()
  state.begun = null
  await run()
  expect(log).toEqual([])
})

test('deletes the episode of an attempt that died before', async () => {
  const { run, log, state } = world()
  state.begun = { request: 'question', isRetry: true }
  await run()
  expect(log[0]).toEqual(['remove', 'acme', 's'])
  expect(log).toHaveLength(2)
})

test('a final error, and the last attempt at one that may pass, are stored; others are tried again', async () => {
  const { run, log } = world()
  const failing = (code: 'PROMPT_TOO_LONG' | 'ENGINE_UNAVAILABLE') => ({
    solve: () => Promise.reject(new ServiceError(code, code)),
  })
  await expect(run(failing('PROMPT_TOO_LONG'))).rejects.toThrow('PROMPT_TOO_LONG')
  await expect(run(failing('ENGINE_UNAVAILABLE'))).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await expect(run(failing('ENGINE_UNAVAILABLE'), 5)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  expect(log).toEqual([
    ['acme', 's', 'failed', ['ServiceError: PROMPT_TOO_LONG', 's']],
    ['acme', 's', 'failed', ['ServiceError: ENGINE_UNAVAILABLE', 's']],
  ])
})

test('a question that the engine refuses for the crowd of its tenant waits, and does not fail', async () => {
  const { run, log } = world()
  let refusals = 0
  await run({
    solve: async () => {
      refusals += 1
      if (refusals > 20) return 'answer'
      throw new ServiceError('ENGINE_OVERLOADED', 'full', { retryAfterSeconds: 0.001 })
    },
  })
  expect(log).toEqual([['acme', 's', 'succeeded', 'answer']])
})

test('a refused question that waits is cancelled like any other, and goes back when the process stops', async () => {
  const { run, log, stopping } = world()
  const refused = {
    solve: async (_request: unknown, { signal }: { signal: AbortSignal }) => {
      if (signal.aborted) throw new ServiceError('ABORTED', 'solve: aborted')
      throw new ServiceError('ENGINE_OVERLOADED', 'full', { retryAfterSeconds: 60 })
    },
  }
  const running = run(refused)
  await new Promise((resolve) => setTimeout(resolve, 20))
  stopping.abort()
  await expect(running).rejects.toBeInstanceOf(RequeueError)
  expect(log).toEqual([])
  const other = world()
  other.state.isWanted = false
  await other.run(refused)
  expect(other.log).toEqual([])
})

test('a cancelled question ends soon, and is no failure', async () => {
  const { run, log, state } = world()
  state.isWanted = false
  await run({ solve: whenAborted })
  expect(log).toEqual([])
})

test('a process that stops gives its question back', async () => {
  const { run, log, stopping } = world()
  const running = run({ solve: whenAborted })
  await new Promise((resolve) => setTimeout(resolve, 20))
  stopping.abort()
  await expect(running).rejects.toBeInstanceOf(RequeueError)
  expect(log).toEqual([])
})

test('calls the webhook of a question, which fails as the call does', async () => {
  const { run, log, state } = world()
  await run({}, 0, undefined, 'solution.webhook')
  expect(log).toEqual([])
  const moment = '2026-03-02T03:00:00.000Z'
  const times = { createdAt: moment, startedAt: moment, finishedAt: moment }
  state.webhook = { url: 'https://a.example', record: { id: 's', status: 'succeeded', ...times, result: 1 } }
  await run({}, 0, undefined, 'solution.webhook')
  expect(log).toEqual([['call', 'https://a.example', 's']])
  const failing = { callWebhook: () => Promise.reject(new ServiceError('WEBHOOK_FAILED', 'got 500')) }
  await expect(run(failing, 0, undefined, 'solution.webhook')).rejects.toMatchObject({
    code: 'WEBHOOK_FAILED',
  })
})

test('refuses a job that is none', async () => {
  await expect(world().run({}, 0, { solutionId: 's' })).rejects.toThrow('expected solution.run')
})
