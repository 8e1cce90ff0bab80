/** @file What a request leaves in the log: its id in every line, its solution, an audit line, no long text. */

import { pino } from 'pino'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { type ErrorCode, ServiceError } from '#errors'
import { createProblemLog } from '../../../src/http/error-replies.ts'
import { loggerOptions } from '../../../src/logger.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import {
  ARTIFACT,
  DELETION,
  EPISODE,
  QUESTION,
  SOLUTION,
  scriptedSolver,
  unverifiedApp,
} from '../../support/http-app.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

interface Line {
  readonly reqId?: string
  readonly audit?: boolean
  readonly msg: string
  readonly req?: { readonly url: string; readonly host: string }
}

let written: string[] = []
const logger = pino(loggerOptions({ level: 'debug', pretty: false }), {
  write: (line: string) => written.push(line),
})
const episodes = createEpisodesInMemory({ failing: ['add', 'recollect'] })
const solving = solverOn(TWO_FLIPS, { episodes })
const app = unverifiedApp({ logger })
const solvingApp = unverifiedApp({ logger, solver: solving.solver })
beforeEach(() => {
  written = []
})
afterAll(() => Promise.all([app.close(), solvingApp.close()]))

const lines = () => written.map((line) => JSON.parse(line) as Line)

test('the solver’s lines have the id of the request', async () => {
  const headers = { 'x-request-id': 'trace-1' }
  await solvingApp.inject({ method: 'POST', url: '/solve', headers, payload: { question: QUESTION } })
  expect(lines().map(({ msg, reqId }) => [msg, reqId])).toEqual([
    ['incoming request', 'trace-1'],
    ['episode store unavailable: solving without retrieval', 'trace-1'],
    ['episode store unavailable: answering without an episode', 'trace-1'],
    ['solved', 'trace-1'],
    ['request completed', 'trace-1'],
  ])
  // The logger of the process gets none of them.
  expect(solving.warnings).toEqual([])
})

test.each(['application/json', 'text/event-stream'])('logs one line a solve, as %s', async (accept) => {
  await app.inject({ method: 'POST', url: '/solve', headers: { accept }, payload: { question: QUESTION } })
  expect(lines().filter(({ msg }) => msg === 'solved')).toMatchObject([
    {
      level: 30,
      strategy: 'auto',
      generatedTokens: 83,
      rewardTokens: 2,
      iterations: 2,
      episodeId: SOLUTION.episodeId,
      stopped: 'reward',
      degraded: ['lrm'],
      ms: 84.6,
    },
  ])
  expect(written.join('')).not.toContain('answer 1')
})

test.each([
  ['POST', `/admin/artifacts/${ARTIFACT.id}/activate`, 'activateArtifact', ARTIFACT.id, 200],
  ['POST', '/admin/artifacts/none/activate', 'activateArtifact', 'none', 404],
  ['GET', '/admin/artifacts', 'listArtifacts', null, 200],
  ['DELETE', `/episodes/${EPISODE.id}`, 'deleteEpisode', EPISODE.id, 204],
  ['DELETE', '/episodes', 'deleteEpisodes', `/deletions/${DELETION.id}`, 202],
] as const)('%s %s leaves an audit line', async (method, url, action, target, status) => {
  await app.inject({ method, url, headers: { 'x-request-id': 'trace-2' } })
  expect(lines().filter(({ audit }) => audit)).toMatchObject([
    { action, target, status, tenant: 'default', reqId: 'trace-2', caller: '127.0.0.1' },
  ])
})

test('the audit line of a new consolidation names it, that of a refused page has its status', async () => {
  const request = { method: 'POST', url: '/admin/consolidations', payload: {} } as const
  const { location } = (await app.inject(request)).headers
  await app.inject({ ...request, headers: { origin: 'http://evil.example' } })
  expect(lines().filter(({ audit }) => audit)).toMatchObject([
    { action: 'requestConsolidation', target: location, status: 202 },
    { action: 'requestConsolidation', target: null, status: 403 },
  ])
})

test('reading and solving leave no audit line', async () => {
  await app.inject('/episodes')
  await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(lines().filter(({ audit }) => audit)).toEqual([])
})

test('URL and host are cut in the log and in answers', async () => {
  const long = 'a.'.repeat(8000)
  const response = await app.inject({ url: `/${long}`, headers: { host: `${long}x` } })
  const missing = await app.inject(`/${long}`)
  for (const { req } of lines()) {
    if (req !== undefined) expect(req.url.length + req.host.length).toBeLessThanOrEqual(2 * 513)
  }
  expect([response.statusCode, missing.statusCode]).toEqual([421, 404])
  for (const text of [...written, response.body, missing.body]) expect(text.length).toBeLessThan(6000)
})

test('the audit line of an activation has `force`, also when it was refused', async () => {
  const url = `/admin/artifacts/${ARTIFACT.id}/activate`
  await app.inject({ method: 'POST', url })
  await app.inject({ method: 'POST', url, payload: { force: true } })
  await app.inject({ method: 'POST', url: '/admin/artifacts/none/activate', payload: { force: true } })
  await app.inject({ method: 'POST', url: '/admin/freeze' })
  const audits = lines().filter(({ audit }) => audit)
  expect(audits).toMatchObject([
    { action: 'activateArtifact', force: false, status: 200 },
    { action: 'activateArtifact', force: true, status: 200 },
    { action: 'activateArtifact', force: true, status: 404 },
    { action: 'freezeLearning', status: 200 },
  ])
  expect(audits[3]).not.toHaveProperty('force')
})

test('logs the first 503 of each code at once, while every one of them is observed', async () => {
  const statuses: number[] = []
  const failing = unverifiedApp({
    logger,
    observeRequest: ({ status }) => statuses.push(status),
    ...scriptedSolver(async ({ question }) => {
      throw new ServiceError(question as ErrorCode, 'the cause')
    }),
  })
  for (const accept of ['application/json', 'text/event-stream']) {
    for (const question of [
      'ENGINE_OVERLOADED',
      'ENGINE_UNAVAILABLE',
      'ENGINE_OVERLOADED',
      'MODEL_INVALID',
    ]) {
      const headers = { accept }
      await failing.inject({ method: 'POST', url: '/solve', headers, payload: { question } })
    }
  }
  await failing.close()
  const failures = written
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => msg === 'request failed')
    .map(({ level, code }) => [level, code])
  expect(failures).toEqual([
    [40, 'ENGINE_OVERLOADED'],
    [40, 'ENGINE_UNAVAILABLE'],
    [50, 'MODEL_INVALID'],
    [50, 'MODEL_INVALID'],
  ])
  expect(statuses).toEqual([503, 503, 503, 500, 503, 503, 503, 500])
})

test('logs a 503 of another cause at once', () => {
  const logProblem = createProblemLog(() => 0)
  for (const code of ['ECONNREFUSED', '53100', 'ECONNREFUSED', '53100']) {
    const cause = Object.assign(new Error('no'), { code })
    logProblem(logger, new ServiceError('STORE_UNAVAILABLE', 'list episodes: expected an answer', { cause }))
  }
  expect(written.map((line) => JSON.parse(line).err.cause?.code ?? '')).toHaveLength(2)
})

test('logs a 503 again after a minute, with the number left out', () => {
  let now = 0
  const logProblem = createProblemLog(() => now)
  for (now of [0, 1, 59_999, 60_000]) logProblem(logger, new ServiceError('STORE_UNAVAILABLE', 'no server'))
  const failures = written.map((line) => JSON.parse(line))
  expect(failures).toMatchObject([{ code: 'STORE_UNAVAILABLE' }, { code: 'STORE_UNAVAILABLE', repeated: 2 }])
  expect(failures).toHaveLength(2)
})
