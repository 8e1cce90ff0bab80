import { expect, suite, test } from 'vitest'
import { type BatchLimits, formBatches, type RowSize } from '../../../src/engine/child/form-batches.ts'
import { allocateFresh, type KvView } from '../../../src/engine/child/key-values.ts'
import { composeFeeds, type StepRow, splitFetches } from '../../../src/engine/child/step-batch.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

const limits: BatchLimits = { padding: 'any', maxRows: 4, maxInputTokens: 512 }

function batches(
  rows: readonly (readonly [covered: number, input: number])[],
  change: Partial<BatchLimits> = {},
) {
  const sizeOf = (index: number): RowSize => {
    const [covered, input] = rows[index]!
    return { covered, input, positions: covered + input }
  }
  return formBatches([...rows.keys()], sizeOf, { ...limits, ...change })
}

suite('formBatches()', () => {
  test('keeps rows together, oldest first, up to the row limit', () => {
    expect(batches(Array(6).fill([10, 1]))).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ])
  })

  test('does not make short rows pay for a long one', () => {
    const long = [0, 400] as const
    expect(batches([long, [0, 5], [0, 6]])).toEqual([[0], [1, 2]])
    expect(batches([long, [0, 300]], { maxInputTokens: 1000 })).toEqual([[0, 1]])
  })

  test('does not make short caches pay for a long one', () => {
    expect(
      batches([
        [5000, 1],
        [10, 1],
        [20, 1],
      ]),
    ).toEqual([[0], [1, 2]])
    // The padding is small: another run would cost more.
    expect(
      batches([
        [500, 1],
        [10, 1],
      ]),
    ).toEqual([[0, 1]])
  })

  test('bounds the tokens of one run', () => {
    expect(
      batches([
        [0, 300],
        [0, 300],
        [0, 200],
      ]),
    ).toEqual([[0], [1], [2]])
    expect(
      batches([
        [0, 200],
        [0, 200],
        [0, 200],
      ]),
    ).toEqual([[0, 1], [2]])
  })

  test('padded on the right, rows of several tokens share a run only while none has a past', () => {
    const mixed = [
      [10, 1],
      [11, 1],
      [0, 1],
      [10, 2],
      [10, 2],
      [0, 5],
      [0, 3],
      [30, 1],
    ] as const
    expect(batches(mixed, { padding: 'right', maxRows: 8 })).toEqual([[0, 1, 2, 7], [3], [4], [5, 6]])
    expect(
      batches(
        [
          [0, 5],
          [0, 1],
          [7, 1],
        ],
        { padding: 'right' },
      ),
    ).toEqual([[0, 1], [2]])
    // The limits on padding apply here too.
    expect(
      batches(
        [
          [0, 400],
          [0, 5],
        ],
        { padding: 'right' },
      ),
    ).toEqual([[0], [1]])
  })

  test('the rule is that of ONNX Runtime: it refuses a batch of several tokens on a past, whatever its layout', async () => {
    // When this fails, ONNX Runtime has changed, and such rows may share runs.
    const engine = await tinySessions({ decoder: { fused: true, width: 32 }, limits: { maxInputTokens: 64 } })
    const { layout } = engine.graph
    const row = (past: KvView | null, input: readonly number[]): StepRow => ({
      past,
      input,
      temperature: 0,
      remaining: 1,
      uniforms: null,
      thoughtFrom: null,
    })
    const run = async (rows: readonly StepRow[]) => {
      const feeds = composeFeeds(engine.graph, rows, 1, allocateFresh(layout))
      const fetched = { hiddenStates: false, thoughtSums: false, signals: false, present: true }
      return splitFetches(rows, feeds, await engine.graph.run(feeds, fetched), new Set())
    }
    const [long, short] = await run([row(null, [5, 6, 7, 8]), row(null, [9, 10])])
    const inputs: (readonly [readonly number[], readonly number[]])[] = [
      [
        [11, 12],
        [13, 14],
      ],
      [[11, 12], [13]],
      // Equal lengths of past and input together.
      [
        [11, 12],
        [13, 14, 15, 16],
      ],
    ]
    for (const [first, second] of inputs) {
      await expect(run([row(long!.cached, first), row(short!.cached, second)])).rejects.toThrow(
        'batch_size must be 1 when sequence_length > 1 and past context is given',
      )
    }
    await expect(run([row(long!.cached, [11]), row(short!.cached, [13])])).resolves.toHaveLength(2)
  })

  test('gives the same batches for an unchanged list', () => {
    const rows = Array.from({ length: 40 }, (_, i) => [(i * 37) % 3000, 1 + ((i * 11) % 90)] as const)
    const first = batches(rows)
    expect(batches(rows)).toEqual(first)
    expect(first.flat().sort((a, b) => a - b)).toEqual([...rows.keys()])
  })

  test('joins rows of equal lengths only, where padding would shift positions', () => {
    const rows = [
      [10, 1],
      [11, 1],
      [10, 1],
      [10, 2],
      [0, 2],
      [0, 2],
    ] as const
    expect(batches(rows, { padding: 'equal' })).toEqual([[0, 2], [1], [3], [4, 5]])
  })
})
