/** @file `circadian eval` on the bundled model: killed, resumed, stopped; the same figures as without a break. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { circadian } from '../support/circadian-command.ts'
import { startService, temporaryFolder } from '../support/service-process.ts'

const ARMS = ['--arm', 'greedy', '--arm', 'name=vote:majority:samples=4', '--arm', 'name=lto:lto:samples=4']

async function folderWithProblems(count: number) {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const file = join(folder.path, 'problems.jsonl')
  const problems = makeProblems({ split: 'heldout', count, seed: 11 })
  await writeFile(file, problems.map((problem) => `${JSON.stringify(problem)}\n`).join(''))
  return { path: folder.path, file }
}

interface Answer {
  readonly problem: string
  readonly arm: string
  readonly run: number
  readonly answer: string | null
  readonly right: boolean
}

async function answersIn(folder: string): Promise<Answer[]> {
  const text = await readFile(join(folder, 'answers.jsonl'), 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

/** Starts an evaluation and sends a signal once some answers are there. */
async function interrupt(args: readonly string[], out: string, signal: NodeJS.Signals) {
  const child = spawn(process.execPath, ['src/circadian.ts', 'eval', ...args, '--out', out], {
    stdio: 'pipe',
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const closed = once(child, 'close')
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  while ((await answersIn(out)).length < 10 && child.exitCode === null) await setTimeout(5)
  child.kill(signal)
  const [code, by] = await closed
  return { code, by, stdout }
}

const choices = (answers: readonly Answer[]) =>
  answers
    .map(({ problem, arm, run, answer, right }) => JSON.stringify([arm, run, problem, answer, right]))
    .sort()

test('an evaluation that is killed goes on in the next call, to the same answers', {
  timeout: 240_000,
}, async () => {
  const { path, file } = await folderWithProblems(16)
  const args = [file, ...ARMS, '--seeds', '2']
  const broken = join(path, 'broken')
  expect((await interrupt(args, broken, 'SIGKILL')).by).toBe('SIGKILL')
  const before = await answersIn(broken)
  expect(before.length).toBeGreaterThanOrEqual(10)
  expect(before.length).toBeLessThan(80)

  const resumed = await circadian(['eval', ...args, '--out', broken])
  expect(resumed.code).toBe(0)
  expect(resumed.stderr).toBe(`${80 - before.length} answers to go, ${before.length} are there\n`)
  const whole = join(path, 'whole')
  const { code, stdout } = await circadian(['eval', ...args, '--out', whole])
  expect(code).toBe(0)
  const answers = await answersIn(broken)
  expect(answers.slice(0, before.length)).toEqual(before)
  expect(answers).toHaveLength(80)
  expect(choices(answers)).toEqual(choices(await answersIn(whole)))

  // The figures of the table are those of the answers.
  const right = answers.filter((answer) => answer.arm === 'greedy' && answer.right).length
  expect(stdout).toContain(`| greedy | 16 | ${(right / 16).toFixed(3)} |`)
  const report = JSON.parse(await readFile(join(broken, 'report.json'), 'utf8'))
  expect(report).toMatchObject({ answered: 80, total: 80, seeds: [1, 2] })
  expect(await readFile(join(broken, 'report.md'), 'utf8')).toContain('# Evaluation of order-of-operations')
  expect(await readFile(join(broken, 'accuracy.svg'), 'utf8')).toContain('</svg>')
})

test('SIGINT ends an evaluation with a report of what there is', { timeout: 120_000 }, async () => {
  const { path, file } = await folderWithProblems(64)
  const out = join(path, 'out')
  const { code, stdout } = await interrupt([file, ...ARMS, '--seeds', '3'], out, 'SIGINT')
  expect(code).toBe(130)
  const { length } = await answersIn(out)
  expect(stdout).toContain(`${length} of 448 answers: ${out}`)
  expect(await readFile(join(out, 'report.md'), 'utf8')).toContain(`**Not complete: ${length} of 448 answers`)
})

test('a running server gives the answers of the same model in this process', {
  timeout: 120_000,
}, async () => {
  const { path, file } = await folderWithProblems(8)
  await using service = await startService({ DATA_DIR: join(path, 'data') })
  const remote = await circadian([
    'eval',
    file,
    ...ARMS,
    '--url',
    service.origin,
    '--out',
    join(path, 'remote'),
  ])
  expect(remote.code).toBe(0)
  expect((await circadian(['eval', file, ...ARMS, '--out', join(path, 'local')])).code).toBe(0)
  expect(choices(await answersIn(join(path, 'remote')))).toEqual(
    choices(await answersIn(join(path, 'local'))),
  )
  const { body } = await service.ask<{ episodes: unknown[] }>('/episodes')
  expect(body.episodes).toEqual([])
})

test('an arm that learns meets its own episodes, in the folder that keeps them', {
  timeout: 120_000,
}, async () => {
  const { path, file } = await folderWithProblems(12)
  const arm = 'name=day:auto:learn=true,retrieval.topK=3'
  const refused = await circadian(['eval', file, '--arm', arm, '--out', join(path, 'none')])
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stderr).toBe(
    'circadian: REQUEST_INVALID: arm "day": expected --data-dir, which keeps what an arm with learn=true stores\n',
  )
  const out = join(path, 'out')
  const options = ['--data-dir', join(path, 'data'), '--concurrency', '1', '--out', out]
  expect((await circadian(['eval', file, '--arm', arm, ...options])).code).toBe(0)
  const records = (await answersIn(out)) as (Answer & { retrieved: number })[]
  expect(records[0]?.retrieved).toBe(0)
  expect(records.some(({ retrieved }) => retrieved > 0)).toBe(true)
})

test.each([
  [['--arm', 'greddy'], 'arm "greddy": strategy: expected one of auto'],
  [['--arm', 'lto:sample=8'], 'got "sample"'],
  [['--family', 'sums'], '--family: expected some of'],
  [['--header', 'key'], '--header: expected NAME:VALUE'],
  [['--arm', 'greedy', '--against', 'majority'], '--against: expected "greedy", or one of these'],
  [['--arm', 'greedy', '--against', 'greedy → nonsense'], 'majority weighted by judge'],
])('%j ends with its reason in one line', async (args, message) => {
  const { path, file } = await folderWithProblems(2)
  const url = args[0] === '--header' ? ['--url', 'http://127.0.0.1:9'] : []
  const { code, stdout, stderr } = await circadian([
    'eval',
    file,
    ...args,
    ...url,
    '--out',
    join(path, 'out'),
  ])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(message)
  expect(stderr.trim().split('\n')).toHaveLength(1)
})
