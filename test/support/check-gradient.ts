/** @file Gradients of one op by its rule and by central differences, both on the real runtime. */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { differentiate, OPSET } from '#autodiff'
import { createModel, createTape, encodeModel, type Model, value } from '#onnx'
import { createRandom, elementCount, float32, int64, type Random, type Tensor } from '#tensor'
import type { OpCase } from './op-cases.ts'

/** By input: the gradient that the rule gives, and the one that differences give. */
export type Gradients = Readonly<
  Record<string, { readonly analytic: Float32Array; readonly numeric: Float64Array }>
>

export type Values = Record<string, Tensor<'float32'>>

const STEP = 2e-2

/**
 * The loss is the sum of output times random weight over all elements.
 * @param symbolic declares sizes other than 1 as symbols, equal ones as the same.
 */
export async function checkGradient(opCase: OpCase, seed: number, symbolic: boolean): Promise<Gradients> {
  const random = createRandom(seed)
  const values = drawInputs(opCase, random)
  const { forward, withLoss, read } = buildModels(opCase, values, symbolic)
  const { model, gradients } = differentiate(withLoss, { loss: 'loss', wrt: Object.keys(values) })

  const run = await load(forward)
  const outputs = await run(values)
  const weights: Values = Object.fromEntries(
    read.map((name) => {
      const { length } = outputs[name]!.data
      return [
        weightsOf(name),
        float32(
          Array.from({ length }, () => random.gaussian()),
          [length, 1],
        ),
      ]
    }),
  )
  // Summed in fp64: the rounding of an fp32 loss would drown the differences.
  const lossAt = async () => {
    const results = await run(values)
    const terms = read.flatMap((name) =>
      Array.from(results[name]!.data as Float32Array, (y, i) => y * weights[weightsOf(name)]!.data[i]!),
    )
    return terms.reduce((total, term) => total + term, 0)
  }

  const results = await (await load(model))({ ...values, ...weights })
  const checked: Record<string, Gradients[string]> = {}
  for (const [name, { data, shape }] of Object.entries(values)) {
    const numeric = new Float64Array(data.length)
    for (let i = 0; i < data.length; i++) numeric[i] = await derivative(data, i, lossAt)
    const gradient = results[gradients.get(name)!]!
    if (gradient.dims.join() !== shape.join())
      throw new Error(`gradient of ${name}: shape [${gradient.dims}]`)
    checked[name] = { analytic: gradient.data as Float32Array, numeric }
  }
  return checked
}

/** Four points, so that the step can be large against rounding: the error is O(h^4). */
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
const weightsOf = (output: string) => `weights of ${output}`

/** What is differentiated, bare for the differences and with the loss for the rule. */
export function buildModels({ inputs, ...on }: OpCase, values: Values, symbolic: boolean) {
  const tape = createTape(Object.keys(values))
  const names = inputs.map((input, i) => (isShape(input) ? `x${i}` : input && tape.constant(input)))
  const outputs = on.build ? on.build(tape, names) : tape.outputs(on.outputs, on.op, names, on.attributes)
  const read = on.reads.map((i) => outputs[i]!)
  const xs = Object.entries(values).map(([name, { shape }]) =>
    value(
      name,
      'float32',
      shape.map((size) => (symbolic && size !== 1 ? `n${size}` : size)),
    ),
  )
  const border = { name: 'forward', inputs: xs, outputs: read.map((name) => ({ name, type: undefined })) }
  const bare = tape.graph(border)
  const forward = { ...bare, nodes: [...bare.nodes] }

  const losses = read.map((name) =>
    tape.op('MatMul', [tape.op('Reshape', [name, tape.constant(int64([1, -1]))]), weightsOf(name)]),
  )
  tape.outputs(['loss'], 'Identity', [losses.reduce((sum, loss) => tape.op('Add', [sum, loss]))])
  const weights = read.map((name) => value(weightsOf(name), 'float32', [null, 1]))
  const withLoss = tape.graph({
    ...border,
    inputs: [...xs, ...weights],
    outputs: [value('loss', 'float32', [1, 1])],
  })
  const model = (graph: Model['graph']) => createModel(graph, { '': OPSET })
  return { forward: model(forward), withLoss: model(withLoss), read }
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
