import { afterAll, expect, test } from 'vitest'
import { ERROR_CODES, type ErrorCode, ServiceError } from '#errors'
import { codeOf, retryAfterSeconds, STATUS, TITLES, toProblem } from '../../../src/http/problem.ts'
import { QUESTION, SOLUTION, scriptedSolver, testApp, unverifiedApp } from '../../support/http-app.ts'

const SECRET = 'postgres://circadian:hunter2@db:5432/x at /home/app/src/database/pool.ts:12'

/**
 * App whose solver throws the code in the question. Unverified, because the contract of /solve lacks some
 * statuses.
 */
const thrower = unverifiedApp(
  scriptedSolver(async ({ question }) => {
    throw new ServiceError(question as ErrorCode, SECRET, {
      faults: [{ pointer: '/question', detail: SECRET }],
    })
  }),
)
afterAll(() => thrower.close())

test.each(ERROR_CODES)(
  '%s thrown by a route is answered with its status, and a 5xx reveals nothing about the error',
  async (code) => {
    const response = await thrower.inject({ method: 'POST', url: '/solve', payload: { question: code } })
    expect(response.statusCode).toBe(STATUS[code])
    const problem = response.json()
    expect(problem.status).toBe(STATUS[code])
    expect(problem.title.length).toBeGreaterThan(5)
    if (STATUS[code] < 500) {
      expect(problem).toMatchObject({
        code,
        detail: SECRET,
        errors: [{ pointer: '/question', detail: SECRET }],
      })
    } else {
      expect(problem.code).toBe(STATUS[code] === 500 ? 'INTERNAL' : code)
      expect(response.body).not.toMatch(/hunter2|pool\.ts|detail|errors/)
    }
    if (STATUS[code] === 503) expect(Number(response.headers['retry-after'])).toBeGreaterThan(0)
    else expect(response.headers).not.toHaveProperty('retry-after')
  },
)

test.each<[string, unknown]>([
  ['an error with a foreign code', Object.assign(new Error(SECRET), { code: '57P01' })],
  ['an error that names a prototype key', Object.assign(new Error(SECRET), { code: 'toString' })],
  ['a string', SECRET],
  ['undefined', undefined],
  ['an object', { statusCode: 400, message: SECRET }],
  ['an error with a 5xx of its own', Object.assign(new Error(SECRET), { statusCode: 502 })],
])('%s becomes INTERNAL and leaks nothing', (_what, thrown) => {
  const problem = toProblem(thrown, 'id')
  expect(problem).toEqual({
    type: 'urn:circadian:problem:internal',
    title: TITLES.INTERNAL,
    status: 500,
    code: 'INTERNAL',
    instance: 'id',
  })
})

test('an error that crossed a process boundary keeps its code', () => {
  const error = Object.assign(new Error('from the engine'), { code: 'ENGINE_OVERLOADED' })
  expect(codeOf(error)).toBe('ENGINE_OVERLOADED')
  expect(retryAfterSeconds(error)).toBe(1)
})

test('Retry-After is the time of the error, rounded up to whole seconds', () => {
  expect(retryAfterSeconds(new ServiceError('ENGINE_OVERLOADED', '', { retryAfterSeconds: 0.2 }))).toBe(1)
  expect(retryAfterSeconds(new ServiceError('STORE_UNAVAILABLE', '', { retryAfterSeconds: 30 }))).toBe(30)
  expect(retryAfterSeconds(new ServiceError('INTERNAL', ''))).toBeUndefined()
})

test('a reward slightly outside its bounds is served, not refused', async () => {
  const app = unverifiedApp(
    scriptedSolver(async () => ({ ...SOLUTION, reward: 1e-12, base: { answer: '1', reward: -1.0000001 } })),
  )
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(response.statusCode).toBe(200)
  expect(response.json()).toMatchObject({ reward: 1e-12, base: { reward: -1.0000001 } })
})

test('testApp answers 500 to a response outside the contract', async () => {
  const app = testApp(scriptedSolver(async () => ({ ...SOLUTION, reward: 0.5 })))
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(response.statusCode).toBe(500)
})
