/** @file The bench of days and nights runs from beginning to end, and says something. */

import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProgram } from '../support/child-process.ts'

interface Arm {
  readonly accuracy: { readonly value: number; readonly n: number }
  readonly firstPass: { readonly value: number }
  readonly steps: { readonly value: number }
}

test('days and nights in small: what is remembered spares steps', { timeout: 180_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-evolve-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const json = join(folder, 'evolve.json')
  const bench = startProgram(join(import.meta.dirname, '../../bench/evolve.ts'), {
    args: ['--quick', '--parts', 'days,far', '--seeds', '4', '--json', json],
  })
  onTestFinished(() => bench.kill())
  await bench.line('Far from memory')
  await bench.line('days and far:')
  if (bench.process.exitCode === null) await once(bench.process, 'exit')
  expect(bench.process.exitCode).toBe(0)

  const { days, far }: Record<'days' | 'far', { days: { arms: Record<string, Arm> }[]; targets: [] }> =
    JSON.parse(await readFile(json, 'utf8'))
  expect(days.targets.length).toBeGreaterThan(0)
  expect(far.targets.length).toBeGreaterThan(0)
  const [before, after] = days.days.map(({ arms }) => arms)
  const led = after?.['memory only, lazy draft']
  expect(led?.accuracy.n).toBe(16)
  expect(led?.steps.value).toBeLessThan(before?.['LatentSeek']?.steps.value ?? 0)
  expect(led?.firstPass.value).toBeGreaterThan(before?.['greedy']?.firstPass.value ?? 1)
})
