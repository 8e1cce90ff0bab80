/** @file Clients that solve all the time, and a record of every answer. */

import { setTimeout as delay } from 'node:timers/promises'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import type { Api } from './deployment.ts'

const CLIENT_TIMEOUT_MS = 90_000
const PAUSE_MS = 100

export interface Answer {
  readonly api: string
  /** Times in ms of `performance.now()`. */
  readonly startedAt: number
  readonly endedAt: number
  /** HTTP status, or the kind of error of the connection. */
  readonly status: number | string
  readonly code: string | null
  readonly episodeId: string | null
  readonly degraded: readonly string[]
  readonly retryAfter: string | null
}

export interface Clients {
  readonly answers: readonly Answer[]
  /** Answers of which a part lies in the interval. */
  during(from: number, to: number): readonly Answer[]
  /** Resolves when every client has its last answer. */
  stop(): Promise<void>
}

/** Each request has a seed of its own, so that an episode stored twice for one request can be seen. */
export function startClients(apis: readonly Api[], count: number): Clients {
  const answers: Answer[] = []
  const questions = makeProblems({ split: 'train', count: 500, seed: 41 }).map(({ question }) => question)
  let seed = 0
  let stopping = false

  async function run(index: number): Promise<void> {
    for (let turn = index; !stopping; turn++) {
      const answer = await ask(apis[turn % apis.length]!, {
        question: questions[seed % questions.length]!,
        strategy: turn % 3 === 0 ? 'auto' : 'greedy',
        seed: ++seed,
      })
      answers.push(answer)
      await delay(typeof answer.status === 'number' ? PAUSE_MS : 4 * PAUSE_MS)
    }
  }

  const running = Promise.all(Array.from({ length: count }, (_, index) => run(index)))
  return {
    answers,
    during: (from, to) => answers.filter(({ startedAt, endedAt }) => endedAt >= from && startedAt <= to),
    async stop() {
      stopping = true
      await running
    },
  }
}

async function ask({ name, origin }: Api, body: object): Promise<Answer> {
  const startedAt = performance.now()
  const base = { api: name, startedAt, code: null, episodeId: null, degraded: [], retryAfter: null }
  try {
    const response = await fetch(`${origin}/solve`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(CLIENT_TIMEOUT_MS),
    })
    const { code = null, episodeId = null, degraded = [] } = (await response.json()) as Partial<Answer>
    const retryAfter = response.headers.get('retry-after')
    const { status } = response
    return { ...base, endedAt: performance.now(), status, code, episodeId, degraded, retryAfter }
  } catch (error) {
    const isLate = error instanceof Error && error.name === 'TimeoutError'
    return { ...base, endedAt: performance.now(), status: isLate ? 'client timeout' : 'connection lost' }
  }
}
