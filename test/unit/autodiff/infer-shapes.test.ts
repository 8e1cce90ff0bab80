import { describe, expect, test } from 'vitest'
import { SHAPE_RULES } from '#autodiff'
import { createGraph, dtypeOf, value } from '#onnx'
import { createRandom } from '#tensor'
import { inferShapes } from '../../../src/autodiff/shapes/infer-shapes.ts'
import { broadcast, product, quotient, type Size } from '../../../src/autodiff/shapes/sizes.ts'
import { buildModels, drawInputs, load } from '../../support/check-gradient.ts'
import { GRADIENT_CASES, type OpCase, SHAPE_CASES } from '../../support/op-cases.ts'

const CASES = [...GRADIENT_CASES, ...SHAPE_CASES]

/** Returns the output as inferred before the run and as computed by the run. */
async function inferAndRun(opCase: OpCase, symbolic: boolean) {
  const values = drawInputs(opCase, createRandom(1))
  const { forward, output } = buildModels(opCase, values, symbolic)
  const results = await (await load(forward))(values)
  return { inferred: inferShapes(forward.graph).get(output)!, actual: results[output]! }
}

/** Replaces symbols by their sizes ("n3" by 3); null when the size is known only during a run. */
const evaluate = (size: Size) =>
  String(size)
    .split('*')
    .reduce<number | null>((product, factor) => {
      const match = /^n?(\d+)$/.exec(factor)
      return match && product !== null ? product * Number(match[1]) : null
    }, 1)

describe.each([...new Set(CASES.map(({ op }) => op))])('%s', (op) => {
  const cases = CASES.filter((opCase) => opCase.op === op)

  test.each(cases)('$what: type and shape equal those of a run', async (opCase) => {
    const { inferred, actual } = await inferAndRun(opCase, false)
    expect(inferred.shape).toEqual(actual.dims)
    expect(dtypeOf(inferred.dataType)).toBe(actual.type)
  })

  test.each(cases)('$what: symbols are carried, and new where a size is unknown', async (opCase) => {
    const { inferred, actual } = await inferAndRun(opCase, true)
    expect(inferred.shape.length).toBe(actual.dims.length)
    for (const [axis, size] of inferred.shape.entries()) {
      expect([actual.dims[axis], null], `axis ${axis}: ${size}`).toContain(evaluate(size))
    }
  })
})

test('every shape rule has a case', () => {
  expect(CASES.map(({ op }) => op)).toEqual(expect.arrayContaining(Object.keys(SHAPE_RULES)))
})

test('a symbolic batch reshaped to rows and back keeps its symbol', () => {
  const node = (opType: string, inputs: string[], output: string) => ({
    opType,
    domain: '',
    name: output,
    inputs,
    outputs: [output],
    attributes: new Map(),
  })
  const stored = (entries: number[]) => ({
    dataType: 7,
    dims: [entries.length],
    bytes: new Uint8Array(BigInt64Array.from(entries, BigInt).buffer),
    external: undefined,
  })
  const known = inferShapes(
    createGraph({
      name: 'rows',
      inputs: [value('x', 'float32', ['B', 5, 8])],
      outputs: [],
      initializers: new Map([
        ['rows', stored([-1, 8])],
        ['batches', stored([-1, 5, 2, 4])],
      ]),
      nodes: [node('Reshape', ['x', 'rows'], 'y'), node('Reshape', ['y', 'batches'], 'z')],
    }),
  )
  expect(known.get('y')!.shape).toEqual(['5*B', 8])
  expect(known.get('z')!.shape).toEqual(['B', 5, 2, 4])
})

test('broadcasting prefers a number to a symbol, and two symbols give a new one', () => {
  const meet = (a: Size, b: Size) => broadcast([a], [b], () => '?')
  expect([meet('B', 5), meet(5, 'B'), meet('B', 1), meet(1, 'B'), meet('B', 'B')].flat()).toEqual([
    5,
    5,
    'B',
    'B',
    'B',
  ])
  expect(meet('B', 'C')).toEqual(['?'])
  expect(broadcast([2, 1, 3], ['B', 1], () => '?')).toEqual([2, 'B', 3])
})

test('products and quotients of sizes, with symbols', () => {
  expect(product(['B', 2, 'T', 3])).toBe('6*B*T')
  expect(product(['B', 0])).toBe(0)
  expect(product([])).toBe(1)
  expect(quotient(['6*B*T'], [3, 'T'])).toBe('2*B')
  expect(quotient(['B', 4], ['B', 4])).toBe(1)
  expect([quotient(['B'], ['T']), quotient([4], [3]), quotient([0], [0])]).toEqual([null, null, null])
})
