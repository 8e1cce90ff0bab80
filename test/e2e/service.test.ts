/** @file The product from outside: `npm start` on embedded defaults, over HTTP. */

import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Deletion, EpisodeDetail } from '#episodes'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { parseExposition, total } from '../support/exposition.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const problems = makeProblems({ split: 'heldout', count: 16, seed: 91 })

describe('a service on embedded defaults', () => {
  let folder: Awaited<ReturnType<typeof dataFolder>>
  let service: ServiceProcess

  beforeAll(async () => {
    folder = await dataFolder()
    service = await startService({ DATA_DIR: folder.path })
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const solve = async (body: object): Promise<Solution> => {
    const answer = await service.ask<Solution>('/solve', { body })
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    return answer.body
  }

  test.each(['greedy', 'latentseek', 'majority', 'auto'])('solves by %s and remembers', async (strategy) => {
    for (const { question } of problems.slice(0, 4)) {
      const solution = await solve({ question, strategy })
      expect(solution).toMatchObject({ strategy, degraded: [], episodeId: expect.any(String) })
      expect(solution.answer).toMatch(/^\d$/)
      if (solution.base) expect(solution.reward).toBeGreaterThanOrEqual(solution.base.reward)
      const episode = await service.ask<EpisodeDetail>(`/episodes/${solution.episodeId}`)
      expect(episode.body).toMatchObject({ question, answer: solution.answer, reward: solution.reward })
    }
  })

  test('gives the same tokens for the same seed, alone and among sixteen at once', async () => {
    for (const strategy of ['latentseek', 'majority']) {
      const ask = ({ question }: { question: string }, seed: number) =>
        solve({ question, strategy, seed, learn: false, explain: true })
      const alone: Solution[] = []
      for (const [seed, problem] of problems.entries()) alone.push(await ask(problem, seed))
      const together = await Promise.all(problems.map(ask))
      const tokens = ({ reasoning, iterations, candidates }: Solution) => ({
        reasoning,
        iterations,
        answers: candidates?.map(({ answer, tokens }) => [answer, tokens]),
      })
      expect(together.map(tokens)).toEqual(alone.map(tokens))
    }
  })

  test('labels an episode from its reference, and again from feedback', async () => {
    const { question, answer } = problems[5]!
    const { episodeId } = await solve({ question, strategy: 'greedy', reference: answer })
    const path = `/episodes/${episodeId}`
    const indexed = await eventually(async () => {
      const { body } = await service.ask<EpisodeDetail>(path)
      return body.status === 'indexed' ? body : null
    })
    expect(indexed.labelSource).toBe('reference')
    expect(indexed.label).toBe(indexed.answer === answer)

    const wrong = await service.ask<EpisodeDetail>(`${path}/feedback`, { body: { correct: !indexed.label } })
    expect(wrong.body).toMatchObject({ label: !indexed.label, labelSource: 'feedback' })

    expect((await service.ask(path, { method: 'DELETE' })).status).toBe(204)
    expect((await service.ask(path)).status).toBe(404)
  })

  test('a second question of a family starts from what the first one taught', async () => {
    // Till an answer that memory begins is judged good, so that no draft is finished; when that comes is the model's business.
    const day = makeProblems({ split: 'heldout', count: 80, seed: 92 })
    const solutions: Solution[] = []
    for (const { question } of day) solutions.push(await solve({ question, seed: 1 }))
    const helped = solutions.filter(({ retrieved, base }) => retrieved.length > 0 && base === null)
    expect(helped.length).toBeGreaterThan(0)
  })

  test('keeps nothing when asked not to learn', async () => {
    const { episodeId } = await solve({ question: problems[0]!.question, learn: false })
    expect(episodeId).toBeNull()
  })

  test('tells what happens as server-sent events, the answer last', async () => {
    const response = await fetch(`${service.origin}/solve`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ question: problems[6]!.question, strategy: 'latentseek' }),
    })
    expect(response.headers.get('content-type')).toMatch('text/event-stream')
    const events = [...(await response.text()).matchAll(/^event: (.*)\ndata: (.*)$/gm)]
    expect(events[0]?.[1]).toBe('tokens')
    expect(events.at(-1)?.[1]).toBe('answer')
    expect(JSON.parse(events.at(-1)?.[2] ?? '')).toMatchObject({
      strategy: 'latentseek',
      answer: expect.any(String),
    })
  })

  test('honours a budget of time', async () => {
    const solution = await solve({ question: problems[7]!.question, budget: { maxMs: 1 } })
    expect(solution.stopped).toBe('maxMs')
  })

  test('selects by the verifier until there is a latent reward model, and says so', async () => {
    const solution = await solve({ question: problems[6]!.question, strategy: 'lto' })
    expect(solution).toMatchObject({ base: null, confidence: null, degraded: ['lrm'] })
    expect(solution.evaluations).toBe(8)
  })

  test('counts in /metrics what it did', async () => {
    const scrape = async () => {
      const response = await fetch(`${service.origin}/metrics`, {
        headers: { accept: 'text/plain;version=0.0.4, */*' },
      })
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      return parseExposition(await response.text())
    }
    const before = await scrape()
    const solutions: Solution[] = []
    for (const strategy of ['greedy', 'latentseek', 'majority', 'greedy']) {
      solutions.push(await solve({ question: problems[8]!.question, strategy }))
    }
    await service.ask('/solve', { body: { question: '1 + '.repeat(4000) } })
    const since = async (name: string, labels = {}) =>
      total(await scrape(), `circadian:${name}`, labels) - total(before, `circadian:${name}`, labels)
    const sum = (read: (solution: Solution) => number) => solutions.reduce((all, one) => all + read(one), 0)

    expect(await since('request_success_total', { strategy: 'greedy', stopped: 'single' })).toBe(2)
    expect(await since('request_success_total')).toBe(4)
    expect(await since('request_failure_total', { code: 'PROMPT_TOO_LONG' })).toBe(1)
    expect(await since('e2e_request_latency_seconds_count', { strategy: 'majority' })).toBe(1)
    expect(await since('optimizer_steps_sum')).toBe(sum(({ iterations }) => iterations))
    expect(await since('prompt_tokens_total')).toBe(sum(({ usage }) => usage.promptTokens))
    const generated = sum(({ usage }) => usage.generatedTokens)
    expect(await since('generation_tokens_total')).toBe(generated)
    // The engine process tells what it did soon after it did it.
    await eventually(async () => ((await since('decode_tokens_total')) >= generated ? true : null))
    expect(await since('http_request_duration_seconds_count', { route: '/solve', status: '200' })).toBe(4)
    expect(await since('http_request_duration_seconds_count', { route: '/solve', status: '422' })).toBe(1)
    for (const [name, { samples }] of before) {
      for (const { labels } of samples)
        expect(labels, name).toMatchObject({ model_name: 'order-of-operations' })
    }
  })

  test('deletes all episodes at once from sight, then in the background', async () => {
    const { episodeId } = await solve({ question: problems[6]!.question, strategy: 'greedy' })
    const { body: before } = await service.ask<{ episodes: unknown[] }>('/episodes?limit=100')
    const { status, body } = await service.ask<Deletion>('/episodes', { method: 'DELETE' })
    expect(status).toBe(202)
    expect((await service.ask<{ episodes: unknown[] }>('/episodes')).body.episodes).toEqual([])
    expect((await service.ask(`/episodes/${episodeId}`)).status).toBe(404)
    const record = await eventually(async () => {
      const { body: now } = await service.ask<Deletion>(`/deletions/${body.id}`)
      return now.status === 'finished' ? now : null
    })
    expect(record.deleted.episodes).toBeGreaterThanOrEqual(before.episodes.length)
    expect(record.deleted.latents).toBeGreaterThan(0)
  })

  test('refuses a prompt longer than the context', async () => {
    const question = '1 + '.repeat(4000)
    const { status, body } = await service.ask('/solve', { body: { question } })
    expect([status, body['code']]).toEqual([422, 'PROMPT_TOO_LONG'])
  })
})

async function eventually<Value>(look: () => Promise<Value | null>): Promise<Value> {
  for (let tries = 0; tries < 200; tries++) {
    const value = await look()
    if (value !== null) return value
    await setTimeout(25)
  }
  throw new Error('eventually: gave up after 5 s')
}
