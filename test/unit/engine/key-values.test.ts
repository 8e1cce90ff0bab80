import { expect, suite, test } from 'vitest'
import {
  allocateFresh,
  bytesPerPosition,
  compact,
  compactAfter,
  createFeedMemory,
  gather,
  isWholeBlock,
  joinSpans,
  type KvBlock,
  type KvLayout,
  type KvView,
  truncate,
  viewLength,
} from '../../../src/engine/child/key-values.ts'

const layout: KvLayout = { layers: 1, heads: 2, headSize: 1, type: 'float32' }

/** Keys count 100 * row + 10 * head + position; values are their negatives. */
function block(rows: number, length: number): KvBlock {
  const keys = Float32Array.from({ length: rows * 2 * length }, (_, i) => {
    const [row, head, position] = [Math.floor(i / (2 * length)), Math.floor(i / length) % 2, i % length]
    return 100 * row + 10 * head + position
  })
  return { arrays: [keys, keys.map((key) => -key)], rows, length }
}

suite('key/value views', () => {
  test('truncate to a prefix across padding', () => {
    const view: KvView = {
      block: block(1, 6),
      row: 0,
      spans: [
        [1, 3],
        [4, 6],
      ],
    }
    expect(viewLength(view)).toBe(4)
    expect(truncate(view, 3)?.spans).toEqual([
      [1, 3],
      [4, 5],
    ])
    expect(truncate(view, 2)?.spans).toEqual([[1, 3]])
    expect(truncate(view, 9)?.spans).toEqual(view.spans)
    expect(truncate(view, 0)).toBeNull()
    expect(truncate(null, 3)).toBeNull()
  })

  test('join adjacent spans', () => {
    expect(
      joinSpans([
        [0, 2],
        [2, 2],
        [2, 5],
        [6, 7],
      ]),
    ).toEqual([
      [0, 5],
      [6, 7],
    ])
  })

  test('gather rows of any length at the right edge, padding left out', () => {
    const three: KvView = {
      block: block(2, 4),
      row: 1,
      spans: [
        [0, 1],
        [2, 4],
      ],
    }
    const one: KvView = { block: block(1, 2), row: 0, spans: [[1, 2]] }
    const gathered = gather(layout, [three, null, one], 'left', allocateFresh(layout))
    expect(gathered).toMatchObject({ rows: 3, length: 3 })
    expect([...gathered.arrays[0]!]).toEqual([
      100, 102, 103, 110, 112, 113, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 11,
    ])
    expect([...gathered.arrays[1]!].slice(0, 3)).toEqual([-100, -102, -103])
  })

  test('gather into reused memory, whatever it contained', () => {
    const feeds = createFeedMemory(layout)
    const long: KvView = { block: block(1, 6), row: 0, spans: [[0, 6]] }
    const before = feeds.take()
    const first = gather(layout, [long, long], 'left', before.allocate)
    before[Symbol.dispose]()
    const { allocate } = feeds.take()
    const short: KvView = { block: block(1, 2), row: 0, spans: [[0, 2]] }
    const one: KvView = { block: block(1, 2), row: 0, spans: [[1, 2]] }
    const second = gather(layout, [short, one], 'left', allocate)
    expect(second.arrays[0]!.buffer).toBe(first.arrays[0]!.buffer)
    expect([...second.arrays[0]!]).toEqual([0, 1, 10, 11, 0, 1, 0, 11])
    expect(gather(layout, [long, long, long, long], 'left', allocate).arrays[0]).toHaveLength(48)
  })

  test('gather large tensors into memory that is freed after their run', () => {
    const wide: KvLayout = { ...layout, headSize: 2 ** 17 }
    const feeds = createFeedMemory(wide)
    const run = feeds.take()
    const arrays = [0, 1].map((tensor) => run.allocate(tensor, 2 ** 23))
    expect(arrays.map(({ byteLength }) => byteLength)).toEqual([2 ** 25, 2 ** 25])
    run[Symbol.dispose]()
    expect(arrays.map(({ byteLength }) => byteLength)).toEqual([0, 0])
  })

  test('share the positions of a prefix, and copy their own', () => {
    const prompt: KvView = { block: block(1, 3), row: 0, spans: [[0, 2]] }
    const run = block(2, 6)
    // Positions 0 and 2 are the prompt's, in the block of the run; 3 and 5 are the answer's.
    const answer: KvView = {
      block: run,
      row: 1,
      spans: [
        [0, 1],
        [2, 4],
        [5, 6],
      ],
    }
    const kept = compactAfter(layout, answer, prompt)
    expect(kept).toMatchObject({ row: 0, spans: [[0, 2]], prefix: prompt })
    expect([...kept.block.arrays[0]!]).toEqual([103, 105, 113, 115])
    expect(viewLength(kept)).toBe(4)
    const gathered = gather(layout, [kept, prompt], 'left', allocateFresh(layout))
    expect([...gathered.arrays[0]!].slice(0, 8)).toEqual([0, 1, 103, 105, 10, 11, 113, 115])
    expect(truncate(kept, 3)).toEqual({ ...kept, spans: [[0, 1]] })
    expect(truncate(kept, 2)).toEqual(prompt)
    expect(truncate(kept, 1)).toEqual({ ...prompt, spans: [[0, 1]] })
    expect(isWholeBlock([kept], 'left')).toBe(false)
    expect(compact(layout, kept).block).toMatchObject({ rows: 1, length: 4 })
    expect(compactAfter(layout, { ...answer, spans: [[0, 2]] }, prompt)).toBe(prompt)
  })

  test('are a whole block only if they are all its rows, in order, up to its end', () => {
    const shared = block(2, 3)
    const view = (row: number): KvView => ({ block: shared, row, spans: [[0, 3]] })
    expect(isWholeBlock([view(0), view(1)], 'left')).toBe(true)
    expect(isWholeBlock([view(1), view(0)], 'left')).toBe(false)
    expect(isWholeBlock([view(0)], 'left')).toBe(false)
    expect(isWholeBlock([view(0), null], 'left')).toBe(false)
    expect(isWholeBlock([], 'left')).toBe(false)
    expect(isWholeBlock([{ ...view(0), spans: [[1, 3]] }, view(1)], 'left')).toBe(true)
    expect(isWholeBlock([{ ...view(0), spans: [[0, 2]] }, view(1)], 'left')).toBe(false)
  })

  test('gather with padding on the right, whatever the memory contained', () => {
    const { allocate } = createFeedMemory(layout).take()
    const long: KvView = { block: block(2, 4), row: 1, spans: [[0, 3]] }
    gather(layout, [long, long], 'left', allocate).arrays[0]!.fill(7)
    const one: KvView = { block: block(1, 2), row: 0, spans: [[1, 2]] }
    const gathered = gather(layout, [long, null, one], 'right', allocate)
    expect(gathered).toMatchObject({ rows: 3, length: 3 })
    expect([...gathered.arrays[0]!]).toEqual([
      100, 101, 102, 110, 111, 112, 0, 0, 0, 0, 0, 0, 1, 0, 0, 11, 0, 0,
    ])
  })

  test('with padding on the right, are a whole block if each starts at its beginning and one fills it', () => {
    const shared = block(2, 3)
    const view = (row: number, start: number, end: number): KvView => ({
      block: shared,
      row,
      spans: [[start, end]],
    })
    expect(isWholeBlock([view(0, 0, 3), view(1, 0, 1)], 'right')).toBe(true)
    expect(isWholeBlock([view(0, 0, 2), view(1, 0, 1)], 'right')).toBe(false)
    expect(isWholeBlock([view(0, 1, 3), view(1, 0, 3)], 'right')).toBe(false)
    expect(isWholeBlock([view(0, 0, 3), null], 'right')).toBe(false)
  })

  test('compact into memory of their own, unless they have their own already', () => {
    const view: KvView = { block: block(2, 4), row: 1, spans: [[1, 4]] }
    const own = compact(layout, view)
    expect(own.block).toMatchObject({ rows: 1, length: 3 })
    expect([...own.block.arrays[0]!]).toEqual([101, 102, 103, 111, 112, 113])
    expect(compact(layout, own)).toBe(own)
  })

  test('keep half precision as bits, at half the bytes', () => {
    const half: KvLayout = { ...layout, type: 'float16' }
    const bits = Uint16Array.of(1, 0x3c00, 0x7c01, 4)
    const gathered = gather(
      half,
      [{ block: { arrays: [bits, bits], rows: 1, length: 2 }, row: 0, spans: [[1, 2]] }],
      'left',
      allocateFresh(half),
    )
    expect(gathered.arrays[0]).toEqual(Uint16Array.of(0x3c00, 4))
    expect(bytesPerPosition(half)).toBe(8)
    expect(bytesPerPosition(layout)).toBe(16)
  })
})
