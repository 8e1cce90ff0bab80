import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { copiesOf, readProfile } from '../../support/ort-profile.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

test('a profile contains every node that ran, including those of the loop, with provider and output sizes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-profile-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const profile = join(folder, 'generation')
  const { sessions, endProfiling } = await tinySessions({ profile, limits: { chunkTokens: [64, 64] } })
  sessions.open(1, [5, 9, 3, 7])
  await sessions.generate(1, [{ prefix: [], temperature: 0, seed: 0, maxNewTokens: 8, latents: 0 }])
  endProfiling()

  const nodes = await readProfile(profile)
  expect(nodes.filter(({ opType }) => opType === 'Loop').length).toBeGreaterThan(0)
  expect(nodes.filter(({ opType }) => opType === 'Softmax').length).toBeGreaterThan(8)
  expect(new Set(nodes.map(({ provider }) => provider))).toEqual(new Set(['CPUExecutionProvider']))
  // Keys of one layer after the last step, [1, 2, 12 - 1, 8] fp32.
  expect(Math.max(...nodes.map(({ outputBytes }) => outputBytes))).toBeGreaterThanOrEqual(2 * 11 * 8 * 4)
  expect(copiesOf(nodes, 0)).toEqual([])
})

test('copies are found by the bytes they carry', () => {
  const node = { name: 'n', provider: 'CUDAExecutionProvider', startedAt: 0, microseconds: 1 }
  const nodes = [
    { ...node, opType: 'MemcpyToHost', outputBytes: 8 },
    { ...node, opType: 'MemcpyFromHost', outputBytes: 4096 },
    { ...node, opType: 'Concat', outputBytes: 9999 },
  ]
  expect(copiesOf(nodes, 1024)).toEqual([nodes[1]])
})
