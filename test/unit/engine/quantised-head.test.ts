/**
 * @file An int4 LM head: all argmax reads use the product that generation uses, so that latents that were not
 * moved decode to their own tokens.
 */

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { decodeModel, encodeModel } from '#onnx'
import type { Latents } from '#ports'
import { quantizeProducts } from '../../../bench/engine/quantize-products.ts'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { loadGraphs } from '../../../src/engine/child/load-graphs.ts'
import { createScheduler } from '../../../src/engine/child/scheduler.ts'
import { ON_CPU } from '../../support/on-cpu.ts'

const MODEL = fileURLToPath(new URL('../../../models/order-of-operations', import.meta.url))

/** Loads the bundled model with all its products in int4, as exports for CPUs have them. */
async function quantised() {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-int4-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'onnx'))
  const graphFile = join(folder, 'onnx/model.onnx')
  const file = await readFile(join(MODEL, 'onnx/model.onnx'))
  await writeFile(graphFile, encodeModel(quantizeProducts(decodeModel(file))))
  const { config, sizes, codec } = await loadModelDirectory(MODEL)
  const { generation, head } = await loadGraphs({ ...ON_CPU, graphFile, config, sizes }, 'cpu')
  const scheduler = createScheduler({
    runner: generation,
    eosTokenIds: sizes.eosTokenIds,
    limits: { maxRunningRows: 32, chunkTokens: [16, 16], runMs: 0, maxInputTokens: 512 },
  })
  return { scheduler, head, codec, width: sizes.hiddenSize }
}

/** Returns greedy answers and the latents that predicted their tokens. */
async function draftsOf({ scheduler, codec, width }: Awaited<ReturnType<typeof quantised>>) {
  // With a dequantised head, four positions of these drafts would change their tokens.
  const problems = makeProblems({ split: 'heldout', count: 260, seed: 23 }).slice(170)
  return await Promise.all(
    problems.map(async ({ question }) => {
      const { tokens, hiddenStates } = await scheduler.submit({
        past: null,
        input: codec.encodeChat([{ role: 'user', content: question }]),
        decode: { temperature: 0, seed: 0, maxNewTokens: 48, latents: 48 },
        keepCache: false,
        signal: new AbortController().signal,
      })
      const latents: Latents = { data: hiddenStates, length: tokens.length, width }
      return { tokens, latents }
    }),
  )
}

test('the latents of a draft decode to the draft, at every position', { timeout: 30_000 }, async () => {
  const engine = await quantised()
  const drafts = await draftsOf(engine)
  const positions = drafts.reduce((sum, { tokens }) => sum + tokens.length, 0)
  expect(positions).toBeGreaterThanOrEqual(2000)
  let differing = 0
  for (const { tokens, latents } of drafts) {
    const decoded = await engine.head.decode(latents)
    differing += decoded.filter((token, position) => token !== tokens[position]).length
  }
  expect(differing).toBe(0)
})

test('an ascent that moves nothing changes no token; its tokens are those that its latents decode to', {
  timeout: 30_000,
}, async () => {
  const engine = await quantised()
  for (const { tokens, latents } of await draftsOf(engine)) {
    const request = {
      latents,
      adam: { m: new Float32Array(latents.data.length), v: new Float32Array(latents.data.length), step: 0 },
      actions: [tokens],
      advantages: [-1],
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      temperature: 1,
      untilChanged: true,
    }
    const still = await engine.head.ascend({ ...request, lr: 0, maxSteps: 2 })
    expect(still).toMatchObject({ steps: 2, tokens })
    const moved = await engine.head.ascend({ ...request, lr: 0.3, maxSteps: 8 })
    expect(moved.tokens).toEqual(await engine.head.decode(moved.latents))
  }
})
