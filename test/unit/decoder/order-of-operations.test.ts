/**
 * @file Compares the bundled model, a real export, with PyTorch's numbers for the same weights
 * (test/fixtures/golden).
 */

import { readFileSync } from 'node:fs'
import { InferenceSession } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { compileGeneration, compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import { decodeModel } from '#onnx'
import { createStepDecoder } from '../../support/decode-by-steps.ts'
import { floats, ints, runGeneration } from '../../support/run-generation.ts'

interface Golden {
  prompts: {
    inputIds: number[]
    greedy: number[]
    lastState: number[]
    promptLogits: number[]
    answerLogits: number[]
    latents: number[][]
  }[]
  ascent: {
    z0: number[][]
    tokens: number[]
    reward: number
    lr: number
    betas: [number, number]
    epsilon: number
    temperature: number
    z1: number[][]
    z3: number[][]
  }[]
}

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url))
const golden: Golden = JSON.parse(read('test/fixtures/golden/order-of-operations.json').toString())
const directory = 'models/order-of-operations'
const config = JSON.parse(read(`${directory}/config.json`).toString())
const model = decodeModel(read(`${directory}/onnx/model.onnx`))
const description = describeDecoder(model, config)
const prompts = golden.prompts.map(({ inputIds }) => inputIds)
const eos = [config['eos_token_id']].flat()
const steps = Math.max(...golden.prompts.map(({ greedy }) => greedy.length))

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length)
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)))
}
const until = (row: readonly number[]) =>
  row.slice(0, row.findIndex((token) => eos.includes(token)) + 1 || row.length)

test('the export has four layers of caches, any padding and an untied head', () => {
  const { layers, padding, head, vocabularySize, hiddenSize } = description
  expect({ layers, padding, elementwise: head.elementwise }).toEqual({
    layers: config['num_hidden_layers'],
    padding: 'any',
    elementwise: [],
  })
  expect([vocabularySize, hiddenSize]).toEqual([config['vocab_size'], config['hidden_size']])
})

test('the step graph gives PyTorch’s logits and greedy tokens', async () => {
  const decoder = await createStepDecoder(model, description)
  for (const { inputIds, greedy, promptLogits, answerLogits } of golden.prompts) {
    const run = await decoder.decode(inputIds, { steps, eos })
    expect(run.tokens).toEqual(greedy)
    expect(largestDifference(run.logits[0]!, promptLogits)).toBeLessThan(1e-3)
    const whole = await decoder.decode([...inputIds, ...greedy], { steps: 1 })
    expect(largestDifference(whole.logits[0]!, answerLogits)).toBeLessThan(1e-3)
  }
})

test('the loop gives the same tokens, states and latents in one ragged batch', async () => {
  const session = await InferenceSession.create(compileGeneration(model, description))
  const decoder = await createStepDecoder(model, description)
  const batch = await runGeneration(session, description, { rows: prompts, steps, eos, pad: 0 })
  for (const [b, { inputIds, greedy, lastState, latents }] of golden.prompts.entries()) {
    expect(until(batch.tokens[b]!)).toEqual(greedy)
    expect(largestDifference(batch.hiddenStates[b]![0]!, lastState)).toBeLessThan(1e-3)
    for (const [t, state] of latents.entries()) {
      expect(largestDifference(batch.hiddenStates[b]![t]!, state)).toBeLessThan(1e-3)
    }
    const alone = await runGeneration(session, description, { rows: [inputIds], steps, eos })
    const byStep = await decoder.decode(inputIds, { steps, eos })
    expect(alone.tokens[0]).toEqual(byStep.tokens)
    for (const [t, state] of byStep.hiddenStates.entries()) {
      expect(largestDifference(alone.hiddenStates[0]![t]!, state)).toBeLessThanOrEqual(1e-5)
    }
  }
})

/**
 * Smallest gradient that is compared. Below it, a gradient is mostly the rounding error of 1 - p in fp32,
 * also in PyTorch (a position with 1 - p = 1e-7 has gradients of 1e-8), and Adam's first steps are about lr
 * for any size, so two implementations do not agree on them.
 */
const GRADIENT_FLOOR = 1e-5

test('the head step gives the latents of PyTorch’s autograd and Adam', async () => {
  const session = await InferenceSession.create(compileHead(model, description))
  for (const { z0, tokens, reward, lr, betas, epsilon, temperature, z1, z3 } of golden.ascent) {
    const dims = [z0.length, description.hiddenSize]
    let z = floats(z0.flat(), dims)
    let [m, v] = [floats(z0.flat().fill(0), dims), floats(z0.flat().fill(0), dims)]
    let compared: number[] = []
    for (const [step, expected] of [z1, null, z3].entries()) {
      const scalars = { step, lr, beta1: betas[0], beta2: betas[1], epsilon, temperature }
      const next = await session.run({
        z,
        m,
        v,
        actions: ints(tokens, [1, tokens.length]),
        advantages: floats([reward], [1]),
        ...Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, floats([value], [])])),
      })
      z = next['z_next'] as typeof z
      m = next['m_next'] as typeof m
      v = next['v_next'] as typeof v
      if (step === 0) {
        const gradients = Array.from(m.data as Float32Array, (moment) => moment / (1 - betas[0]))
        compared = [...gradients.keys()].filter((i) => Math.abs(gradients[i]!) > GRADIENT_FLOOR)
        expect(compared.length).toBeGreaterThanOrEqual(description.hiddenSize / 2)
      }
      const latents = z.data as Float32Array
      const pick = (from: ArrayLike<number>) => compared.map((i) => from[i]!)
      if (expected) expect(largestDifference(pick(latents), pick(expected.flat()))).toBeLessThan(1e-4)
      expect(largestDifference(pick(latents), pick(z0.flat()))).toBeGreaterThan(lr / 2) // it moved
    }
  }
})

test('the head’s argmax over the latents gives the decoded tokens', async () => {
  const session = await InferenceSession.create(compileHeadLogits(model, description))
  for (const { latents, greedy, promptLogits } of golden.prompts) {
    const R = latents.length
    const every = promptLogits.map((_, token) => token)
    const results = await session.run({
      z: floats(latents.flat(), [R, description.hiddenSize]),
      token_ids: ints(every, [every.length]),
      temperature: floats([1], []),
      uniforms: floats([], [0, R]),
      likely: ints([0], [1]),
    })
    expect(Array.from(results['tokens']!.data as BigInt64Array, Number)).toEqual(greedy.slice(0, R))
    const first = (results['logits']!.data as Float32Array).slice(0, every.length)
    expect(largestDifference(first, promptLogits)).toBeLessThan(1e-3)
  }
})
