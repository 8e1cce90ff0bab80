/** @file Gradients of one op by its VJP rule and by central differences, both on ONNX Runtime. */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { differentiate, OPSET } from '#autodiff'
import { createModel, createTape, encodeModel, type Model, value } from '#onnx'
import { createRandom, elementCount, float32, int64, type Random, type Tensor } from '#tensor'
import type { OpCase } from './op-cases.ts'

/** By input: the gradient of the rule and the gradient of central differences. */
export type Gradients = Readonly<
  Record<string, { readonly analytic: Float32Array; readonly numeric: Float64Array }>
>

export type Values = Record<string, Tensor<'float32'>>

const STEP = 2e-2
const WEIGHTS = 'weights'

/**
 * Computes both gradients of a loss: the sum of output times random weight over all elements.
 * @param symbolic declares sizes other than 1 as symbols, equal sizes as the same symbol.
 */
export async function checkGradient(opCase: OpCase, seed: number, symbolic: boolean): Promise<Gradients> {
  const random = createRandom(seed)
  const values = drawInputs(opCase, random)
  const { forward, withLoss, output } = buildModels(opCase, values, symbolic)
  const { model, gradients } = differentiate(withLoss, { loss: 'loss', wrt: Object.keys(values) })

  const run = await load(forward)
  const { length } = (await run(values))[output]!.data
  const weights = Array.from({ length }, () => random.gaussian())
  // Summed in fp64: the rounding of an fp32 loss would be larger than the differences.
  const lossAt = async () => {
    const y = (await run(values))[output]!.data as Float32Array
    return y.reduce((total, each, i) => total + each * Math.fround(weights[i]!), 0)
  }

  const results = await (await load(model))({ ...values, [WEIGHTS]: float32(weights, [length, 1]) })
  const checked: Record<string, Gradients[string]> = {}
  for (const [name, { data, shape }] of Object.entries(values)) {
    const numeric = new Float64Array(data.length)
    for (let i = 0; i < data.length; i++) numeric[i] = await derivative(data, i, lossAt)
    const gradient = results[gradients.get(name)!]!
    if (gradient.dims.join() !== shape.join())
      throw new Error(`gradient of ${name}: expected shape [${shape}], got [${gradient.dims}]`)
    checked[name] = { analytic: gradient.data as Float32Array, numeric }
  }
  return checked
}

/** Four points, so that the step can be large relative to rounding: the error is O(h^4). */
async function derivative(x: Float32Array, i: number, lossAt: () => Promise<number>): Promise<number> {
  const at = x[i]!
  const lossWith = (steps: number) => {
    x[i] = at + steps * STEP
    return lossAt()
  }
  const near = (await lossWith(1)) - (await lossWith(-1))
  const far = (await lossWith(2)) - (await lossWith(-2))
  x[i] = at
  return (8 * near - far) / (12 * STEP)
}

export function drawInputs({ inputs, range: [low, high], kink }: OpCase, random: Random): Values {
  const draw = (): number => {
    const x = low + random.uniform() * (high - low)
    return Math.abs(x) < kink ? draw() : x
  }
  return Object.fromEntries(
    inputs.flatMap((input, i) =>
      isShape(input) ? [[`x${i}`, float32(Array.from({ length: elementCount(input) }, draw), input)]] : [],
    ),
  )
}

const isShape = (input: OpCase['inputs'][number]): input is readonly number[] => Array.isArray(input)

/** Builds two models of the op: without a loss for the differences, and with a loss for the rule. */
export function buildModels({ inputs, op, attributes }: OpCase, values: Values, symbolic: boolean) {
  const tape = createTape([...Object.keys(values), WEIGHTS])
  const output = tape.op(
    op,
    inputs.map((input, i) => (isShape(input) ? `x${i}` : tape.constant(input))),
    attributes,
  )
  const xs = Object.entries(values).map(([name, { shape }]) =>
    value(
      name,
      'float32',
      shape.map((size) => (symbolic && size !== 1 ? `n${size}` : size)),
    ),
  )
  const border = { name: 'forward', inputs: xs, outputs: [{ name: output, type: undefined }] }
  const bare = tape.graph(border)
  const forward = { ...bare, nodes: [...bare.nodes] }

  const row = tape.op('Reshape', [output, tape.constant(int64([1, -1]))])
  tape.outputs(['loss'], 'MatMul', [row, WEIGHTS])
  const withLoss = tape.graph({
    ...border,
    inputs: [...xs, value(WEIGHTS, 'float32', [null, 1])],
    outputs: [value('loss', 'float32', [1, 1])],
  })
  const model = (graph: Model['graph']) => createModel(graph, { '': OPSET })
  return { forward: model(forward), withLoss: model(withLoss), output }
}

export async function load(model: Model) {
  const session = await InferenceSession.create(encodeModel(model), { intraOpNumThreads: 1 })
  return (feeds: Readonly<Record<string, Tensor>>) =>
    session.run(
      Object.fromEntries(
        Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
          name,
          new OrtTensor(dtype as 'float32', data as Float32Array, shape),
        ]),
      ),
    )
}
