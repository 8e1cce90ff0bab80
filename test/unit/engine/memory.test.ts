/** @file Memory of a process and of a device, from which the memory of runs is derived. */

import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { loadModelDirectory } from '#engine'
import { deviceMemory } from '../../../src/engine/child/memory.ts'
import { serve } from '../../../src/engine/child/serve.ts'
import { tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'
import { ON_CPU } from '../../support/on-cpu.ts'

afterEach(() => void vi.unstubAllEnvs())

/** Puts a program in the place of the driver's. */
async function nvidiaSmi(script: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-smi-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, 'nvidia-smi'), 0o755)
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`)
}

test('the memory of a device is that which the driver reports, by the number that CUDA gives it', async () => {
  await nvidiaSmi('case "$3" in --id=1) echo 24576 ;; --id=GPU-8f3a) echo 81920 ;; *) exit 6 ;; esac')
  expect(await deviceMemory(1)).toBe(24 * 2 ** 30)
  expect(await deviceMemory(0)).toBeNull()
  vi.stubEnv('CUDA_VISIBLE_DEVICES', '3, GPU-8f3a')
  expect(await deviceMemory(1)).toBe(80 * 2 ** 30)
})

test('the memory of a device is not known without the program, or when it reports none', async () => {
  await nvidiaSmi('echo "[N/A]"')
  expect(await deviceMemory(0)).toBeNull()
  vi.stubEnv('PATH', '/nowhere')
  expect(await deviceMemory(0)).toBeNull()
})

test('a model that leaves no memory for runs is refused with the sum', async () => {
  await using directory = await tinyModelDirectory()
  const { config, sizes, graphFile } = await loadModelDirectory(directory.path)
  const options = { graphFile, config, sizes, ...ON_CPU }
  const { size } = await stat(graphFile)
  const start = (memoryBytes: number) => serve({ ...options, memoryBytes }, 'cpu', () => undefined)
  await expect(start(size - 1)).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringContaining('without caches'),
  })
  await expect(start(size + 1)).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringMatching(
      /expected memory for runs, got 0.00 GiB for each process, of which .* raise ENGINE_MEMORY_BYTES/,
    ),
  })
  await expect(start(2 ** 34)).resolves.toBeDefined()
})
