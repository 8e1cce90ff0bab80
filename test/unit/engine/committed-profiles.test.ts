/** @file Every profile in models/profiles can be read, belongs to a model, and gives no published problem away. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readModelProfile } from '#engine'
import { makeArithmetic } from '../../../scripts/problems/arithmetic.ts'

const PROFILES = join(import.meta.dirname, '../../../models/profiles')
const names = readdirSync(PROFILES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

test.each(names)('the profile %s', (name) => {
  const read = (file: string) => JSON.parse(readFileSync(join(PROFILES, name, file), 'utf8'))
  const on = read('measured-on.json')
  expect(on.weights).toMatch(/^[0-9a-f]{64}$/)
  expect(on.architecture).toMatchObject({ type: expect.any(String), hiddenSize: expect.any(Number) })
  const { embedding } = readModelProfile(read('circadian.json'))
  expect(readFileSync(join(PROFILES, name, 'report.md'), 'utf8')).toContain('tuning problems of')
  if (embedding.mean === null) return
  expect(statSync(join(PROFILES, name, embedding.mean)).size).toBe(4 * on.architecture.hiddenSize)
})

/** Problems of docs/benchmarks.md of which a worked example could be one. */
const PUBLISHED = makeArithmetic({
  family: 'facts',
  difficulty: 1,
  use: 'publishing',
  count: 300,
  seed: 11,
}).map(({ question }) => factOf(question))

/** What is calculated, such as `9 + 8`, however it is asked; null for a question of another kind. */
function factOf(question: string): string | null {
  return /\d+ [-+*] \d+/.exec(question)?.[0] ?? null
}

test.each(names)('no worked example of %s is a published fact', (name) => {
  const { solver } = readModelProfile(
    JSON.parse(readFileSync(join(PROFILES, name, 'circadian.json'), 'utf8')),
  )
  const facts = (solver.examples ?? [])
    .map(({ question }) => factOf(question))
    .filter((fact) => fact !== null)
  expect(PUBLISHED).not.toContain(null)
  expect(PUBLISHED.filter((fact) => facts.includes(fact!))).toEqual([])
})
