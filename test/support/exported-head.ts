/**
 * @file Compares the compiled graphs over an LM head with the exported file on plain ONNX Runtime and with the
 * closed form of the gradient.
 */

import { dirname } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { compileHead, compileHeadLogits, describeDecoder, type LmHead } from '#decoder'
import { loadModelDirectory } from '#engine'
import { createRandom, createTensor, float32, fromFloat16, int64, softmax } from '#tensor'
import { createSession, type Session } from '../../src/engine/child/onnx-runtime.ts'
import { readStepGraph, withReadableHead } from '../../src/engine/read-graph.ts'

/** Positions of the latents at which the gradient is compared. */
const S = 3

/** @param logits the engine's logits after `prompt`, `[tokens]` */
export async function headErrors(directory: string, prompt: readonly number[], logits: Float32Array) {
  const { graphFile, config } = await loadModelDirectory(directory)
  const expected = await fileLogits(graphFile, prompt)
  const model = withReadableHead((await readStepGraph(graphFile)).model, graphFile)
  const description = describeDecoder(model, config)
  const load = (graph: Uint8Array) =>
    createSession(graph, { provider: 'cpu', cudaDevice: 0, threads: 1, dataFolder: dirname(graphFile) })
  const step = await load(compileHead(model, description))
  const read = await load(compileHeadLogits(model, description))
  return {
    logitError: maxError(logits, expected.slice(0, logits.length)),
    gradientError: await gradientError(step, read, description),
  }
}

/** Greatest difference, relative to the greatest absolute expected number. */
function maxError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  const wanted = Array.from(expected)
  const greatest = Math.max(...wanted.map(Math.abs))
  return Math.max(...wanted.map((value, index) => Math.abs(value - got[index]!))) / greatest
}

/** Returns the exported file's logits after a prompt, without caches, `[V]`. */
async function fileLogits(graphFile: string, prompt: readonly number[]): Promise<Float32Array> {
  const session = await InferenceSession.create(graphFile, { logSeverityLevel: 3 })
  const row = (values: readonly number[]) => new Tensor('int64', values.map(BigInt), [1, values.length])
  const feeds = session.inputMetadata.map((input) => {
    if (!input.isTensor) throw new Error(`expected a tensor for ${input.name}`)
    if (input.name === 'input_ids') return [input.name, row(prompt)]
    if (input.name === 'attention_mask') return [input.name, row(prompt.map(() => 1))]
    if (input.name === 'position_ids') return [input.name, row(prompt.map((_, index) => index))]
    const [, heads, , size] = input.shape as [unknown, number, unknown, number]
    const type = input.type as 'float32' | 'float16'
    const none = type === 'float16' ? new Uint16Array() : new Float32Array()
    return [input.name, new Tensor(type as 'float32', none as Float32Array, [1, heads, 0, size])]
  })
  const { logits } = await session.run(Object.fromEntries(feeds), ['logits'])
  const last = (logits!.data as Float32Array).slice(-logits!.dims.at(-1)!)
  return logits!.type === 'float16' ? fromFloat16(last as unknown as Uint16Array) : last
}

type Sizes = { readonly head: LmHead; readonly hiddenSize: number; readonly vocabularySize: number }

/**
 * Reads W by the exported product of unit vectors, and compares the gradient of ascent with the closed form over
 * it (`compileHead`).
 */
async function gradientError(
  step: Session,
  read: Session,
  { head, hiddenSize: D, vocabularySize: V }: Sizes,
): Promise<number> {
  const logitsOf = async (z: Float32Array) => {
    const feeds = {
      z: createTensor('float32', [z.length / D, D], z),
      token_ids: int64(Array.from({ length: V }, (_, token) => token)),
      temperature: float32(1),
      uniforms: createTensor('float32', [0, z.length / D], new Float32Array()),
      likely: int64([0]),
    }
    const { logits } = await read.run(feeds, ['logits'])
    return logits.data as Float32Array
  }
  const cap = head.elementwise.some(({ kind }) => kind === 'tanh') ? softCapOf(head) : null
  const bias = await logitsOf(new Float32Array(D))
  const units = Float32Array.from({ length: D * D }, (_, index) => (index % (D + 1) === 0 ? 1 : 0))
  const columns = await logitsOf(units)
  /** d logits / d z before the soft-cap: entry of a token and a state. */
  const weight = (token: number, state: number) => {
    const logit = columns[state * V + token]!
    return cap === null ? logit - bias[token]! : cap * Math.atanh(logit / cap)
  }
  const random = createRandom(3)
  const z = Float32Array.from({ length: S * D }, () => random.gaussian())
  const actions = [7, 31, 255]
  const scalars = { step: 0, lr: 0.1, beta1: 0, beta2: 0.9, epsilon: 1e-8, temperature: 1 }
  const states = (data: Float32Array) => createTensor('float32', [S, D], data)
  const feeds = {
    ...Object.fromEntries(Object.entries(scalars).map(([name, number]) => [name, float32(number)])),
    z: states(z),
    m: states(new Float32Array(S * D)),
    v: states(new Float32Array(S * D)),
    actions: createTensor('int64', [1, S], BigInt64Array.from(actions, BigInt)),
    advantages: float32([1]),
  }
  // With beta1 = 0, the first moment is the gradient.
  const { m_next: gradient } = await step.run(feeds, ['m_next'])
  const expected = actions.flatMap((action, t) => {
    const logits = Array.from({ length: V }, (_, token) => {
      const product = z
        .subarray(t * D, (t + 1) * D)
        .reduce((sum, value, state) => sum + value * weight(token, state), 0)
      return cap === null ? product + bias[token]! : cap * Math.tanh(product / cap)
    })
    const pull = softmax(logits).map((p, token) => {
      const slope = cap === null ? 1 : 1 - (logits[token]! / cap) ** 2
      return slope * ((token === action ? 1 : 0) - p)
    })
    return Array.from({ length: D }, (_, state) =>
      pull.reduce((sum, value, token) => sum + value * weight(token, state), 0),
    )
  })
  return maxError(gradient.data as Float32Array, expected)
}

/** Returns c of a head that ends in c tanh(x / c). */
function softCapOf({ elementwise }: LmHead): number {
  const last = elementwise.at(-1)
  if (last?.kind === 'scale') return last.factor
  throw new Error('expected a soft-cap that ends in a scale')
}
