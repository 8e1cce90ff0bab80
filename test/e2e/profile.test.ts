/** @file `circadian model profile` on the bundled model: the profile serves, and a second call goes on. */

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { circadian } from '../support/circadian-command.ts'
import { temporaryFolder } from '../support/service-process.ts'

const MODEL = 'models/order-of-operations'

async function folderWithProblems(count: number) {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const file = join(folder.path, 'problems.jsonl')
  const problems = makeProblems({ split: 'train', count, seed: 5 })
  await writeFile(file, problems.map((problem) => `${JSON.stringify(problem)}\n`).join(''))
  return { path: folder.path, file }
}

test('measures a profile that serves, explains it, and goes on where it ended', async () => {
  const { path, file } = await folderWithProblems(80)
  const out = join(path, 'out')
  const args = [
    'model',
    'profile',
    MODEL,
    '--problems',
    file,
    '--out',
    out,
    '--provider',
    'cpu',
    '--budget',
    '0.4',
  ]
  const { code, stdout, stderr } = await circadian(args)
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('report.md explains') })
  expect(stderr).toContain('drafts: 80 of 80')

  const report = await readFile(join(out, 'report.md'), 'utf8')
  expect(report).toMatch(/80 drafts, \d+ right/)
  expect(report).toMatch(/Chosen: \*\*last token\*\*/)
  expect(report).toMatch(/`minSimilarity` is 0\.\d+/)
  expect(await readFile(join(out, 'curves.svg'), 'utf8')).toContain('precision of passed drafts')

  // The toy's judge was trained: it has a threshold, near the one that was found by hand (-.07).
  const { defaults } = JSON.parse(await readFile(join(out, 'circadian.json'), 'utf8'))
  expect(defaults.stopReward).toBeGreaterThan(-0.15)
  expect(defaults.stopReward).toBeLessThan(-0.02)

  const profiles = join(path, 'profiles')
  await cp(out, join(profiles, 'toy'), { recursive: true })
  const copy = join(path, 'model')
  await cp(MODEL, copy, { recursive: true, filter: (source) => !source.endsWith('circadian.json') })
  const served = await loadModelDirectory(copy, profiles)
  expect(served.profileSource).toBe('models/profiles/toy')
  expect(served.info.profile.defaults).toMatchObject(defaults)

  const again = await circadian(args)
  expect(again).toMatchObject({ code: 0 })
  expect(Number(/(\d+) measurements are there/.exec(again.stderr)?.[1])).toBeGreaterThan(80)
  expect(await circadian([...args, '--seed', '2'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/measurements of other settings: seed: expected 1, got 2/),
  })
}, 240_000)

test.each([
  [['--problems', '/nowhere'], 1, 'expected a file that can be read'],
  [[], 2, "required option '--problems <file>' not specified"],
  [['--problems', 'p', '--budget', '0'], 2, 'Expected a number from 0.05'],
  [['--problems', 'p', '--stages', 'naps'], 1, '--stages: expected some of prompts, drafts'],
  [['--problems', 'p', '--precision', '2'], 2, 'Expected a number from 0.5 to 1.'],
])('circadian model profile %j ends with exit code %i', async (args, code, says) => {
  const result = await circadian(['model', 'profile', MODEL, ...args])
  expect(result.code).toBe(code)
  expect(result.stderr).toContain(says)
})
