/** @file Feedback that an answer is wrong, over HTTP: the same question gets another answer next time, or is told what happened. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const problems = makeProblems({ split: 'heldout', count: 3, seed: 11 })
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

async function solve(body: object): Promise<Solution> {
  const answer = await service.ask<Solution>('/solve', { body: { seed: 1, ...body } })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body
}

test('an answer that was called wrong is not repeated silently, until it is called right or deleted', async () => {
  const first: Solution[] = []
  for (const { question } of problems) {
    const solution = await solve({ question })
    expect(solution).not.toHaveProperty('refutedBy')
    const feedback = { body: { correct: false } }
    expect(await service.ask(`/episodes/${solution.episodeId}/feedback`, feedback)).toMatchObject({
      status: 200,
    })
    first.push(solution)
  }
  let others = 0
  for (const [index, { question }] of problems.entries()) {
    const before = first[index]!
    for (const strategy of ['auto', 'majority'] as const) {
      const again = await solve({ question, strategy, learn: false })
      expect(again.answer).toMatch(/^\d$/)
      if (again.answer === before.answer) expect(again.refutedBy).toBe(before.episodeId)
      else expect(again).not.toHaveProperty('refutedBy')
      others += Number(again.answer !== before.answer)
    }
  }
  expect(others).toBeGreaterThan(0)

  const [one, two] = first as [Solution, Solution]
  await service.ask(`/episodes/${one.episodeId}/feedback`, { body: { correct: true } })
  await service.ask(`/episodes/${two.episodeId}`, { method: 'DELETE' })
  for (const [index, before] of [one, two].entries()) {
    const again = await solve({ question: problems[index]!.question, learn: false })
    expect(again.answer).toBe(before.answer)
    expect(again).not.toHaveProperty('refutedBy')
  }
  // Without memory, the answer is what it was before any feedback.
  const without = await solve({ question: problems[2]!.question, learn: false, retrieval: false })
  expect(without).not.toHaveProperty('refutedBy')
  expect(without.answer).toBe(first[2]!.answer)
})
