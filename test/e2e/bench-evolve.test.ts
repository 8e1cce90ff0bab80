/** @file The bench of days and nights runs from beginning to end and writes its records. */

import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProgram } from '../support/child-process.ts'

interface Record {
  readonly part: string
  readonly case: { readonly day?: number; readonly arm?: string; readonly aim?: string }
  readonly n: number | null
  readonly figures: {
    readonly firstPass: { readonly value: number }
    readonly steps: { readonly value: number }
  }
}

test('days and nights in small: memory saves optimiser steps', { timeout: 300_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-evolve-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const json = join(folder, 'evolve.jsonl')
  const bench = startProgram(join(import.meta.dirname, '../../bench/evolve.ts'), {
    args: ['--quick', '--parts', 'days,far,controls', '--seeds', '4', '--json', json],
  })
  onTestFinished(() => bench.kill())
  await bench.line('Far from memory')
  await bench.line('days and far and controls:')
  if (bench.process.exitCode === null) await once(bench.process, 'exit')
  expect(bench.process.exitCode).toBe(0)

  const records = (await readFile(json, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record)
  const aims = records.filter(({ case: { aim } }) => aim !== undefined)
  expect(new Set(aims.map(({ part }) => part))).toEqual(new Set(['days', 'far']))
  const find = (day: number, arm: string) =>
    records.find(({ part, case: labels }) => part === 'days' && labels.day === day && labels.arm === arm)
  const controls = records.filter(({ part, case: { arm } }) => part === 'controls' && arm !== undefined)
  expect(controls.map(({ case: { arm } }) => arm)).toEqual(
    expect.arrayContaining(['moving average of shifts', 'memory only, random neighbours']),
  )
  for (const { n } of controls) expect(n).toBe(16)
  const led = find(1, 'memory only, lazy draft')
  expect(led?.n).toBe(16)
  expect(led?.figures.steps.value).toBeLessThan(find(0, 'LatentSeek')?.figures.steps.value ?? 0)
  expect(led?.figures.firstPass.value).toBeGreaterThan(find(0, 'greedy')?.figures.firstPass.value ?? 1)
})
