/** @file `circadian learn` on the bundled model: asks, keeps labelled episodes, holds a night, and goes on where it ended. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { circadian } from '../support/circadian-command.ts'
import { temporaryFolder } from '../support/service-process.ts'

test('problems become labelled episodes and a night, and a second call asks only what is new', {
  timeout: 240_000,
}, async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'problems.jsonl')
  const problems = makeProblems({ split: 'train', count: 14, seed: 5 })
  await writeFile(file, problems.map((problem) => `${JSON.stringify(problem)}\n`).join(''))
  const dataDir = join(folder.path, 'memory')
  const out = join(folder.path, 'answers')
  const learn = (...args: string[]) =>
    circadian(['learn', file, '--data-dir', dataDir, '--out', out, '--arm', 'majority:samples=4', ...args])

  const first = await learn('--limit', '12', '--kinds', 'none')
  expect(first).toMatchObject({ code: 0, stderr: '12 problems to ask, 0 are known\n' })
  const answers = (await readFile(join(out, 'answers.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const right = answers.filter((answer) => answer.right).length
  expect(first.stdout).toBe(`12 asked, ${right} right\n`)

  const second = await learn('--kinds', 'lrm,judge')
  expect(second).toMatchObject({ code: 0, stderr: '2 problems to ask, 12 are known\n' })
  // 14 questions are too few for a version: both kinds say so, having seen all episodes.
  expect(second.stdout).toMatch(
    /^2 asked, \d right\nnight: rejected in \d+ s\n {2}lrm: skipped, .+of 14 episodes/,
  )
  expect(second.stdout).toMatch(/\n {2}judge: skipped, .+of 14 episodes/)
})

test.each([
  { args: ['--kinds', 'weavr'], says: '--kinds: expected none or some of weaver,lrm,judge, got weavr' },
  { args: ['--arm', 'majority:sample=4'], says: 'sample' },
  { args: ['--from', '3'], says: '--from: expected a place in' },
  {
    args: ['--limit', '3'],
    says: 'problems.jsonl:3: expected the answer of line 1, which asks the same, got another',
  },
  {
    args: ['--arm', 'greedy', '--arm', 'majority:samples=4'],
    says: '--arm: expected one arm, by which all problems are asked, got 2: greedy and majority:samples=4',
  },
  {
    args: ['--arm', 'greedy:learn=false'],
    says: 'arm "greedy:learn=false": expected an arm that keeps episodes, got learn=false',
  },
  { args: ['--arm', 'greedy:examples=3'], says: 'arm "greedy:examples=3": expected no examples' },
])('$args is refused with the reason', async ({ args, says }) => {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const file = join(folder.path, 'problems.jsonl')
  const lines = [
    { question: '1 + 1', answer: '2' },
    { question: '1 + 2', answer: '3' },
    { question: '1 + 1', answer: '3' },
  ]
  await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const { code, stderr } = await circadian([
    'learn',
    file,
    '--data-dir',
    join(folder.path, 'memory'),
    '--out',
    join(folder.path, 'answers'),
    ...args,
  ])
  expect(code).toBe(1)
  expect(stderr).toContain(says)
})
