/** @file Every profile in models/profiles can be read, and belongs to a model. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readModelProfile } from '#engine'

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
