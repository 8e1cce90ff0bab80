import { expect, test } from 'vitest'
import { differentiate, OPSET } from '#autodiff'
import { createModel, createTape, graph, int, type Model, storeTensor, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'
import { load } from '../../support/check-gradient.ts'

/**
 * Creates a model with input `x` float32 [3] and parameter `w` [3]; `build` records the loss and returns its
 * name.
 */
function modelOf(build: (tape: Tape) => string, opset = OPSET): Model {
  const tape = createTape(['x', 'w', 'loss'])
  const loss = build(tape)
  const recorded = tape.graph({
    name: 'test',
    inputs: [value('x', 'float32', [3])],
    outputs: [value(loss, 'float32', loss.startsWith('Reduce') ? [] : undefined)],
    initializers: new Map([['w', storeTensor(float32([1, 2, 3]))]]),
  })
  return createModel(recorded, { '': opset })
}

const sum = (tape: Tape, x: string) => tape.op('ReduceSum', [x], { keepdims: int(0) })
const lossOf = (model: Model) => model.graph.outputs[0]!.name
const refusal = (model: Model, wrt = ['w']) => {
  try {
    differentiate(model, { loss: lossOf(model), wrt })
  } catch (error) {
    return error
  }
  return undefined
}

test('the cotangents of a value that is read more than once are summed', async () => {
  // x * x * w + x: d/dx = 2 x w + 1
  const model = modelOf((tape) => {
    const square = tape.op('Mul', ['x', 'x'])
    return sum(tape, tape.op('Add', [tape.op('Mul', [square, 'w']), 'x']))
  })
  const { model: differentiated, gradients } = differentiate(model, { loss: lossOf(model), wrt: ['x', 'w'] })
  const results = await (await load(differentiated))({ x: float32([1, -2, 0.5]) })
  expect(gradients).toEqual(
    new Map([
      ['x', 'x.gradient'],
      ['w', 'w.gradient'],
    ]),
  )
  expect(Array.from(results['x.gradient']!.data as Float32Array)).toEqual([3, -7, 4])
  expect(Array.from(results['w.gradient']!.data as Float32Array)).toEqual([1, 4, 0.25])
})

test('only the nodes of requested gradients are added', () => {
  const model = modelOf((tape) => sum(tape, tape.op('Mul', [tape.op('Exp', ['x']), 'w'])))
  const { nodes } = differentiate(model, { loss: lossOf(model), wrt: ['w'] }).model.graph
  expect(nodes.map(({ opType }) => opType)).toEqual(['Exp', 'Mul', 'ReduceSum', 'Expand', 'Mul', 'Identity'])
})

test('ops outside the path from the parameters to the loss need no rule, only a noted shape', () => {
  const model = modelOf((tape) => {
    const [largest] = tape.outputs(['largest', 'places'], 'TopK', ['x', tape.constant(int64([1]))])
    return sum(tape, tape.op('Mul', [largest!, 'w']))
  })
  expect(refusal(model)).toMatchObject({ message: expect.stringContaining('of known shape') })
  const valueInfo = [value('largest', 'float32', [1])]
  expect(refusal({ ...model, graph: { ...model.graph, valueInfo } })).toBeUndefined()
})

test('the error for a missing rule names op, node and path to the loss', () => {
  const model = modelOf((tape) => {
    const [largest] = tape.outputs(['largest', 'places'], 'TopK', ['w', tape.constant(int64([1]))])
    return sum(tape, tape.op('Mul', [largest!, 'x']))
  })
  expect(refusal(model)).toMatchObject({
    code: 'NOT_DIFFERENTIABLE',
    message:
      'differentiate: expected a VJP rule for every op between the parameters and the loss, got TopK "largest", ' +
      'which reaches the loss by TopK "largest" -> Mul "Mul_0" -> ReduceSum "ReduceSum_0" -> "ReduceSum_0"',
  })
})

test('the error for an op of another domain names the domain', () => {
  const model = modelOf((tape) => sum(tape, tape.op('FastGelu', ['w'], {}, 'com.microsoft')))
  expect(refusal(model)).toMatchObject({ message: expect.stringContaining('got com.microsoft.FastGelu "') })
})

test('a parameter captured by a branch counts as read', () => {
  const model = modelOf((tape) => {
    const branch = () => {
      const nested = tape.nested()
      const output = nested.op('Neg', ['w'])
      return graph(nested.graph({ name: 'branch', outputs: [{ name: output, type: undefined }] }))
    }
    const condition = tape.op('Greater', [sum(tape, 'x'), tape.constant(float32(0))])
    return sum(tape, tape.op('If', [condition], { then_branch: branch(), else_branch: branch() }))
  })
  expect(refusal(model)).toMatchObject({ message: expect.stringContaining('got If "If_0"') })
})

test.each<[string, (tape: Tape) => string, string]>([
  [
    'a loss that does not depend on the parameter',
    (tape) => sum(tape, 'x'),
    'a loss that depends on "w", got "ReduceSum_0", which does not',
  ],
  [
    'a parameter behind an op that stops gradients',
    (tape) => {
      const zero = tape.constant(float32(0))
      return sum(tape, tape.op('Where', [tape.op('Greater', ['w', zero]), 'x', zero]))
    },
    'a loss that depends on "w", got "ReduceSum_0", which does not',
  ],
  [
    'a loss of several elements',
    (tape) => tape.op('Mul', ['x', 'w']),
    'a loss of one element, got "Mul_0" of [3]',
  ],
  [
    'products with vectors',
    (tape) => tape.op('MatMul', ['x', 'w']),
    'MatMul "MatMul_0" to have factors of rank 2 or more, got ranks 1 and 1',
  ],
  [
    'axes that the run computes',
    (tape) => sum(tape, tape.op('ReduceSum', ['w', tape.op('Cast', [sum(tape, 'x')], { to: int(7) })])),
    'to have "ReduceSum_1" of known shape',
  ],
  [
    'a loss that reads a second output',
    (tape) => sum(tape, tape.outputs(2, 'LayerNormalization', ['x', 'w'])[1]!),
    'to have a loss that reads its first output only',
  ],
])('refuses %s', (_, build, message) => {
  const error = refusal(modelOf(build))
  expect(error).toMatchObject({ code: 'NOT_DIFFERENTIABLE', message: expect.stringContaining(message) })
})

test('refuses operator sets before 18, in which axes were attributes', () => {
  const model = modelOf((tape) => sum(tape, 'w'), 17)
  expect(refusal(model)).toMatchObject({ code: 'GRAPH_PRECONDITION' })
})
