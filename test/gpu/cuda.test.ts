/**
 * @file The CUDA execution provider compared with the CPU: tokens, caches on the device, and speed.
 *
 * Not yet run on a GPU: written on a machine without one, and rehearsed there on the CPU. If it fails on the
 * first GPU, the fault may be in this test as well as in the engine.
 */

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEngine, type Engine } from '#engine'
import type { Continuation, GenerationRow } from '#ports'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { chooseProvider } from '../../src/engine/child/onnx-runtime.ts'
import { agreementOf } from '../support/agreement.ts'
import { copiesOf, readProfile } from '../support/ort-profile.ts'
import { type TinySessions, type TinySessionsOptions, tinySessions } from '../support/tiny-sessions.ts'

const { provider, reason, isBroken } = await chooseProvider('auto', 0)
if (provider !== 'cuda') console.warn(`test:gpu SKIPPED, nothing was tested on a GPU: ${reason}`)

const ROW: GenerationRow = { prefix: [], temperature: 0, seed: 1, maxNewTokens: 48, latents: 48 }
/** A run of the whole answer, as the engine makes on CUDA. */
const WHOLE = { chunkTokens: [1024, 1024], maxRunningRows: 64 } as const

test.runIf(isBroken && existsSync('/dev/nvidia0'))('an installed GPU is found', () => {
  expect.unreachable(reason)
})

describe.skipIf(provider !== 'cuda')('on CUDA', () => {
  describe.each<[name: string, options: TinySessionsOptions, tolerance: number]>([
    // TF32 is on by default where the GPU has it: products of fp32 keep 10 bits.
    ['plain nodes', {}, 0.05],
    ['wider, key/value heads repeated', { decoder: { width: 64, heads: 4, keyValueHeads: 2 } }, 0.05],
    ['half precision', { half: true }, 0.1],
    ['half precision, GroupQueryAttention', { half: true, decoder: { fused: true, width: 32 } }, 0.1],
  ])('a tiny decoder, %s', (_name, options, tolerance) => {
    test('decodes the tokens of the CPU', async () => {
      const cpu = await tinySessions({ ...options, limits: WHOLE })
      const gpu = await tinySessions({ ...options, limits: WHOLE, provider })
      const agreement = await agreementOf(await decode(cpu), await decode(gpu), async (state, tokens) => {
        const [logits] = await cpu.head.logits(state, tokens)
        return logits!
      })

      expect(agreement.stateError).toBeLessThan(tolerance)
      expect(agreement.preference).toBeLessThan(tolerance)
      expect(agreement.alike).toBeGreaterThan(16)
    })

    test('samples by rules: the most likely token alone is the greedy one', async () => {
      const gpu = await tinySessions({ ...options, limits: WHOLE, provider })
      const sampled: GenerationRow = { ...ROW, temperature: 1, sampling: { topK: 1, topP: 0.9, minP: 0.1 } }
      const [greedy, drawn] = [await decode(gpu), await decode(gpu, sampled)]
      const same = drawn.filter(({ tokens }, row) => String(tokens) === String(greedy[row]!.tokens)).length
      // In half precision, two tokens may share the greatest logit.
      expect(same).toBeGreaterThanOrEqual(options.half ? 1 : PROMPTS.length)
      const penalised = await decode(gpu, { ...sampled, sampling: { topK: 1, repetitionPenalty: 10 } })
      for (const { tokens } of penalised) expect(new Set(tokens).size).toBeGreaterThan(tokens.length / 2)
    })

    test('moves latents as the CPU does, in single precision', async () => {
      const [cpu, gpu] = [await tinySessions(options), await tinySessions({ ...options, provider })]
      const [draft] = await decode(cpu)
      const { latents, tokens } = draft!
      const zeros = () => new Float32Array(latents.data.length)
      const request = {
        latents,
        actions: [tokens],
        advantages: [-1],
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        temperature: 1,
        maxSteps: 5,
        untilChanged: false,
        adam: { m: zeros(), v: zeros(), step: 0 },
      }
      const [onCpu, onGpu] = [await cpu.head.ascend(request), await gpu.head.ascend(request)]
      const shift = (moved: Float32Array) => moved.map((value, i) => value - latents.data[i]!)
      const [expected, got] = [shift(onCpu.latents.data), shift(onGpu.latents.data)]

      // Adam makes steps of lr of the smallest gradients, whose sign is rounding: most coordinates, not all,
      // agree.
      const agreeing = got.filter((value, i) => Math.abs(value - expected[i]!) < 1e-3).length
      expect(agreeing / got.length).toBeGreaterThan(0.9)
      expect(Math.max(...got.map(Math.abs))).toBeLessThan(6e-3)
    })

    test('keeps its caches on the device', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'circadian-profile-'))
      onTestFinished(() => rm(folder, { recursive: true }))
      const profile = join(folder, 'generation')
      const gpu = await tinySessions({ ...options, limits: WHOLE, provider, profile })
      await decode(gpu)
      gpu.endProfiling()

      const nodes = await readProfile(profile)
      const { heads = 2, keyValueHeads = heads, width = 16 } = options.decoder ?? {}
      // Keys of one layer and all rows after the first step; masks, tokens and conditions are smaller.
      const bytes = (PROMPTS.length * keyValueHeads * 24 * (width / heads) * (options.half ? 2 : 4)) | 0
      expect(copiesOf(nodes, bytes)).toEqual([])
      const elsewhere = nodes.filter((node) => !node.provider.startsWith('CUDA') && node.outputBytes >= bytes)
      expect(elsewhere.map(({ opType, outputBytes }) => `${opType} ${outputBytes}`)).toEqual([])
    })
  })

  describe('the bundled model', () => {
    const prompts = makeProblems({ split: 'heldout', count: 64, seed: 9 }).map(({ question }) => question)
    let cpu: Engine
    let gpu: Engine

    beforeAll(async () => {
      const directory = join(import.meta.dirname, '../../models/order-of-operations')
      const start = (executionProvider: 'cpu' | 'cuda') =>
        createEngine({ directory, executionProvider, cudaDevice: 0, logger: pino({ level: 'warn' }) })
      cpu = await start('cpu')
      gpu = await start(provider)
    }, 120_000)
    afterAll(() => Promise.all([cpu?.close(), gpu?.close()]))

    test('reports its provider', () => {
      expect(gpu.status().provider).toBe(provider)
    })

    test('decodes the tokens of the CPU', async () => {
      const [expected, got] = [await ask(cpu, prompts), await ask(gpu, prompts)]
      const agreement = await agreementOf(expected, got, () => Promise.resolve(Float32Array.of(0, 0)))

      expect(agreement.stateError).toBeLessThan(0.05)
      const same = got.filter(({ tokens }, row) => String(tokens) === String(expected[row]!.tokens)).length
      console.info(
        `answers equal to the CPU's: ${same} of ${got.length}; states differ by ${agreement.stateError}`,
      )
      expect(same / got.length).toBeGreaterThan(0.9)
    })

    test('reports its speed', async () => {
      await ask(gpu, prompts)
      const perToken = await cacheBytesPerToken(gpu.model.directory)
      const prompt = gpu.codec.encodeChat([{ role: 'user', content: prompts[0]! }]).length
      for (const [name, engine] of Object.entries({ cpu, gpu })) {
        for (const rows of [1, 16, 64]) {
          const asked = prompts.slice(0, rows)
          const started = performance.now()
          const tokens = (await ask(engine, asked)).reduce(
            (sum, { generatedTokens }) => sum + generatedTokens,
            0,
          )
          const seconds = (performance.now() - started) / 1000
          // A whole answer per run: its prompt's cache goes in, the whole cache comes back.
          const moved = (perToken * (2 * prompt + tokens / rows)) / (tokens / rows)
          console.info(
            `${name}, ${rows} at once: ${Math.round(tokens / seconds)} tokens/s, ${perToken} bytes of cache per token, ` +
              `${Math.round(moved)} bytes between host and device per decoded token`,
          )
          expect(tokens).toBeGreaterThan(rows)
        }
      }
    })
  })
})

const PROMPTS = Array.from({ length: 4 }, (_, row) =>
  Array.from({ length: 24 - row }, (_, i) => 3 + ((7 * i + 11 * row) % 60)),
)

async function decode({ sessions }: TinySessions, row = ROW): Promise<readonly Continuation[]> {
  return await Promise.all(
    PROMPTS.map(async (prompt, index) => {
      sessions.open(index, prompt)
      const [continuation] = await sessions.generate(index, [row])
      sessions.close(index)
      return continuation!
    }),
  )
}

async function ask(engine: Engine, questions: readonly string[]): Promise<readonly Continuation[]> {
  const { signal } = new AbortController()
  return await Promise.all(
    questions.map(async (content) => {
      const session = await engine.open(engine.codec.encodeChat([{ role: 'user', content }]), { signal })
      const [continuation] = await session.generate([ROW])
      session.close()
      return continuation!
    }),
  )
}

/** Bytes of keys and values of one token, fp32. */
async function cacheBytesPerToken(directory: string): Promise<number> {
  const config: Record<string, number> = JSON.parse(await readFile(join(directory, 'config.json'), 'utf8'))
  const heads = config['num_attention_heads']!
  const headSize = config['head_dim'] ?? config['hidden_size']! / heads
  return 2 * config['num_hidden_layers']! * (config['num_key_value_heads'] ?? heads) * headSize * 4
}
