import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import {
  allGraphs,
  createGraph,
  createModel,
  createTape,
  encodeModel,
  graph,
  hoistInitializers,
  type Model,
  modelFaults,
  type Node,
  type Pass,
  removeUnused,
  renameAll,
  replaceAllUsesWith,
  runPass,
  runPasses,
  sortNodes,
  storeTensor,
  uses,
  value,
} from '#onnx'
import { bool, createRandom, float32 } from '#tensor'

const x = value('x', 'float32', [2])

const op = (opType: string, inputs: string[], output: string): Node => ({
  opType,
  domain: '',
  name: output,
  inputs,
  outputs: [output],
  attributes: new Map(),
})

const model = (nodes: Node[], outputs: string[], parts: Partial<Model['graph']> = {}): Model =>
  createModel(
    createGraph({
      name: 'g',
      inputs: [x],
      nodes,
      outputs: outputs.map((name) => value(name, 'float32')),
      ...parts,
    }),
    { '': 17 },
  )

/**
 * y = x * scale if flag, else x + shift: each branch holds its constant; the graph has dead nodes and a dead
 * weight.
 */
function branching(): Model {
  const tape = createTape(['x', 'flag', 'scale', 'shift', 'dead'])
  const branch = (opType: string, constant: string, number: number) => {
    const nested = tape.nested()
    nested.op('Neg', ['x'])
    const y = nested.op(opType, ['x', constant])
    const initializers = new Map([[constant, storeTensor(float32(number))]])
    return graph(nested.graph({ name: opType, outputs: [value(y, 'float32')], initializers }))
  }
  tape.op('Neg', ['x'])
  tape.outputs(['y'], 'If', ['flag'], {
    then_branch: branch('Mul', 'scale', 3),
    else_branch: branch('Add', 'shift', 10),
  })
  const border = { inputs: [x, value('flag', 'bool', [])], outputs: [value('y', 'float32')] }
  const initializers = new Map([['dead', storeTensor(float32(1))]])
  return createModel(tape.graph({ name: 'branching', ...border, initializers }), { '': 17 })
}

async function runBranching(model: Model) {
  const session = await InferenceSession.create(encodeModel(model))
  const run = async (flag: boolean) => {
    const feeds = { x: new Tensor('float32', [1, 2], [2]), flag: new Tensor('bool', [flag], []) }
    return Array.from((await session.run(feeds))['y']!.data as Float32Array)
  }
  return [await run(true), await run(false)]
}

const ANSWERS = [
  [3, 6],
  [11, 12],
]

const errorLike = (code: string, pattern: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(pattern) })

test('hoisting keeps results, leaves no weights in nested graphs, and is idempotent', async () => {
  const before = branching()
  const { model: after, modified } = runPass(hoistInitializers, before)
  expect(modified).toBe(true)
  expect([...after.graph.initializers.keys()]).toEqual(['dead', 'scale', 'shift'])
  expect(
    allGraphs(after.graph)
      .slice(1)
      .map(({ initializers }) => initializers.size),
  ).toEqual([0, 0])
  expect(await runBranching(before)).toEqual(ANSWERS)
  expect(await runBranching(after)).toEqual(ANSWERS)
  expect(runPass(hoistInitializers, after)).toEqual({ model: after, modified: false })
})

test('hoisting leaves a weight that is an output of its branch', () => {
  const returned = createGraph({
    name: 'returned',
    nodes: [],
    outputs: [value('w', 'float32')],
    initializers: new Map([['w', storeTensor(float32(1))]]),
  })
  const node = { ...op('If', ['flag'], 'y'), attributes: new Map([['then_branch', graph(returned)]]) }
  const before = model([node], ['y'], { inputs: [x, value('flag', 'bool', [])] })
  expect(runPass(hoistInitializers, before)).toEqual({ model: before, modified: false })
})

test('hoisting refuses two weights of one name', () => {
  const branch = (number: number) =>
    graph(
      createGraph({
        name: 'branch',
        nodes: [op('Add', ['x', 'w'], `y${number}`)],
        outputs: [value(`y${number}`, 'float32')],
        initializers: new Map([['w', storeTensor(float32(number))]]),
      }),
    )
  const attributes = new Map([
    ['then_branch', branch(1)],
    ['else_branch', branch(2)],
  ])
  const before = model([{ ...op('If', ['flag'], 'y'), attributes }], ['y'], {
    inputs: [x, value('flag', 'bool', [])],
  })
  expect(() => runPass(hoistInitializers, before)).toThrow(
    errorLike('GRAPH_PRECONDITION', /hoist initializers: .*"w"/),
  )
})

test('removing unused values reaches into branches, keeps inputs and results, and is idempotent', async () => {
  const { model: after } = runPass(removeUnused, branching())
  expect(allGraphs(after.graph).map(({ nodes }) => nodes.map(({ opType }) => opType))).toEqual([
    ['If'],
    ['Mul'],
    ['Add'],
  ])
  expect(after.graph.initializers.size).toBe(0)
  expect(after.graph.inputs.map(({ name }) => name)).toEqual(['x', 'flag'])
  expect(await runBranching(after)).toEqual(ANSWERS)
  expect(runPass(removeUnused, after)).toEqual({ model: after, modified: false })
})

test('sorting restores a shuffled long chain with side branches, and leaves sorted graphs unchanged', () => {
  const nodes = Array.from({ length: 3000 }, (_, i) =>
    op('Add', [i ? `v${i - 1}` : 'x', i > 9 ? `v${i - 10}` : 'x'], `v${i}`),
  )
  const sorted = model(nodes, ['v2999'])
  expect(runPass(sortNodes, sorted).modified).toBe(false)
  const random = createRandom(4)
  const shuffled = nodes
    .map((node) => ({ node, key: random.uniform() }))
    .sort((a, b) => a.key - b.key)
    .map(({ node }) => node)
  expect(runPass(sortNodes, model(shuffled, ['v2999'])).model.graph.nodes).toEqual(nodes)
})

test('sorting takes values captured by nested graphs into account', () => {
  const nested = createGraph({
    name: 'b',
    nodes: [op('Neg', ['late'], 'z')],
    outputs: [value('z', 'float32')],
  })
  const reader = { ...op('If', ['flag'], 'y'), attributes: new Map([['then_branch', graph(nested)]]) }
  const before = model([reader, op('Abs', ['x'], 'late')], ['y'], { inputs: [x, value('flag', 'bool', [])] })
  expect(runPass(sortNodes, before).model.graph.nodes.map(({ opType }) => opType)).toEqual(['Abs', 'If'])
})

test('sorting refuses a cycle', () => {
  const circle = [op('Add', ['x', 'c'], 'a'), op('Neg', ['a'], 'b'), op('Neg', ['b'], 'c')]
  expect(() => runPass(sortNodes, model(circle, ['c']))).toThrow(
    errorLike('GRAPH_PRECONDITION', /cycle through/),
  )
})

test('runPass throws for an invalid model, an invalid result, and unmet conditions of the pass', () => {
  const sound = model([op('Neg', ['x'], 'y')], ['y'])
  const broken = model([op('Neg', ['ghost'], 'y')], ['y'])
  expect(() => runPass(removeUnused, broken)).toThrow(
    errorLike('GRAPH_PRECONDITION', /remove unused: .*"ghost"/),
  )
  const breaking: Pass = { name: 'break', apply: () => broken }
  expect(() => runPass(breaking, sound)).toThrow(errorLike('GRAPH_POSTCONDITION', /break: .*"ghost"/))
  const lazy: Pass = { name: 'lazy', apply: (same) => same, ensures: () => 'expected work, got none' }
  expect(() => runPasses([removeUnused, lazy], sound)).toThrow(
    errorLike('GRAPH_POSTCONDITION', /lazy: expected work/),
  )
  const picky: Pass = { name: 'picky', apply: (same) => same, requires: () => 'expected a Conv, got none' }
  expect(() => runPass(picky, sound)).toThrow(errorLike('GRAPH_PRECONDITION', /picky: expected a Conv/))
})

test('modelFaults names redefined values and undefined captures', () => {
  const hiding = createGraph({
    name: 'b',
    nodes: [op('Neg', ['unknown'], 'x')],
    outputs: [value('x', 'float32')],
  })
  const node = { ...op('If', ['flag'], 'y'), attributes: new Map([['then_branch', graph(hiding)]]) }
  const faults = modelFaults(model([node], ['y'], { inputs: [x, value('flag', 'bool', [])] }))
  expect(faults).toEqual([
    'Neg "x" defines "x", which is already defined',
    'Neg "x" reads "unknown", which is not defined',
  ])
})

test('renaming and replacing reach into nested graphs and keep the names of outputs', async () => {
  const renamed = renameAll(branching().graph, (name) => `p/${name}`)
  expect(modelFaults(createModel(renamed, { '': 17 }))).toEqual([])
  expect(
    allGraphs(renamed)
      .flatMap(({ nodes }) => nodes.flatMap(({ outputs }) => outputs))
      .every((name) => name.startsWith('p/')),
  ).toBe(true)

  // The branches read the double; the node that computes the double still reads x.
  const { graph: before } = branching()
  const double = op('Add', ['x', 'x'], 'doubled')
  const replaced = replaceAllUsesWith({ ...before, nodes: [double, ...before.nodes] }, 'x', 'doubled', double)
  expect(uses(replaced, 'x')).toEqual([double])
  expect(replaced.outputs).toEqual(before.outputs)
  expect(await runBranching({ ...branching(), graph: replaced })).toEqual([
    [6, 12],
    [12, 14],
  ])
})

test('a tape gives every name once, shares equal constants, and refuses names already taken', () => {
  const tape = createTape(['Add_0', 'constant_0'])
  const one = tape.constant(float32(1))
  const sum = tape.op('Add', ['x', one])
  expect([one, sum]).toEqual(['constant_1', 'Add_1'])
  expect(tape.constant(float32(1))).toBe(one)
  expect(tape.constant(float32([1]))).not.toBe(one)
  expect(tape.constant(bool(true))).not.toBe(one)
  const nested = tape.nested()
  expect(nested.op('Add', [sum, nested.constant(float32(1))])).toBe('Add_2')
  expect(nested.graph({ name: 'n', outputs: [] }).initializers.size).toBe(0)
  expect(tape.graph({ name: 'g', outputs: [] }).initializers.size).toBe(3)
  expect(() => tape.outputs([sum], 'Neg', ['x'])).toThrow(errorLike('GRAPH_PRECONDITION', /"Add_1" again/))
  expect(() => tape.append([op('Neg', ['x'], 'Add_0')])).toThrow(
    errorLike('GRAPH_PRECONDITION', /"Add_0" again/),
  )
})
