import { expect, test } from 'vitest'
import type { StoredLatents } from '#episodes'
import { openSplit } from '../../../src/consolidation/split-night.ts'
import { type PackedPair, readWeaverExamples } from '../../../src/consolidation/weaver-examples.ts'
import { packed, unitVector } from '../../support/episodes.ts'

const { signal } = new AbortController()
const split = openSplit({
  locked: [],
  heldOut: [['tenant-b episode-2']],
  calibration: [],
  unused: [['tenant-z episode-z']],
})
let stored = 0

function pair(over: Partial<StoredLatents> = {}): StoredLatents {
  stored += 1
  const z = packed(new Float32Array(6), 2)
  return {
    tenantId: 'tenant-a',
    episodeId: `episode-${stored}`,
    question: `${stored}?`,
    embedding: unitVector(stored, 16),
    zBase: z,
    zStar: z,
    label: null,
    labelSource: null,
    ...over,
  }
}

async function read(
  pairs: readonly StoredLatents[],
  options: { maxBytes?: number; signal?: AbortSignal } = {},
) {
  const training = {
    async *latentPairs() {
      yield* pairs
    },
  }
  const taken: PackedPair[] = []
  const result = await readWeaverExamples(
    training,
    'model-1',
    [],
    { split, signal, ...options },
    async (row) => {
      taken.push(row)
    },
  )
  return { ...result, taken }
}

test('returns each example with its episode', async () => {
  const pairs = [pair(), pair({ tenantId: 'tenant-b' })]
  const { taken, examples, episodes, rejected } = await read(pairs)
  expect(taken.map(({ question }) => question)).toEqual(pairs.map(({ question }) => question))
  expect(episodes).toEqual(pairs.map(({ tenantId, episodeId }) => ({ tenantId, episodeId })))
  expect(rejected).toEqual({ calledWrong: 0, nearDuplicate: 0, overMemory: 0, unused: 0 })
  expect(examples.map(({ part }) => part)).toEqual(['train', 'heldOut'])
})

test('leaves out answers labelled wrong by feedback or reference, not those labelled by the model', async () => {
  const { episodes, rejected } = await read([
    pair({ label: false, labelSource: 'feedback' }),
    pair({ label: false, labelSource: 'reference' }),
    pair({ label: false, labelSource: 'self' }),
    pair({ label: false, labelSource: 'majority' }),
    pair({ label: true, labelSource: 'feedback' }),
  ])
  expect(episodes).toHaveLength(3)
  expect(rejected.calledWrong).toBe(2)
})

test('keeps the newest four episodes of a repeated question, over all tenants', async () => {
  const same = Array.from({ length: 10 }, (_, n) => pair({ question: 'same?', tenantId: `tenant-${n % 2}` }))
  const { episodes, rejected } = await read([...same, pair()])
  expect(episodes.map(({ episodeId }) => episodeId)).toEqual([
    ...same.slice(0, 4).map(({ episodeId }) => episodeId),
    `episode-${stored}`,
  ])
  expect(rejected.nearDuplicate).toBe(6)
})

test('keeps four episodes of questions whose embeddings are nearly the same', async () => {
  const about = (cosine: number) => {
    const embedding = new Float32Array(16)
    embedding[0] = cosine
    embedding[1] = Math.sqrt(1 - cosine ** 2)
    return pair({ embedding })
  }
  const near = [1, 0.9999, 0.9995, 0.9992, 0.9991]
  const { episodes } = await read([...near.map(about), about(0.998)])
  expect(episodes).toHaveLength(5)
})

test('leaves out episodes that no part takes', async () => {
  const { examples, rejected } = await read([pair({ tenantId: 'tenant-z', episodeId: 'episode-z' })])
  expect(examples).toEqual([])
  expect(rejected.unused).toBe(1)
})

test('keeps as many examples as fit into memory', async () => {
  const size = (16 + 6 + 6) * 4
  const { episodes, rejected } = await read([pair(), pair(), pair()], { maxBytes: 2 * size })
  expect(episodes).toHaveLength(2)
  expect(rejected.overMemory).toBe(1)
})

test('throws when the signal has fired', async () => {
  await expect(read([pair()], { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
})

test('reads 20,000 different episodes without blocking the event loop for a second', async () => {
  const pairs = Array.from({ length: 20_000 }, (_, seed) => pair({ embedding: unitVector(seed, 16) }))
  let longest = 0
  let last = performance.now()
  const watching = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  last = performance.now()
  await read(pairs)
  clearInterval(watching)
  expect(longest).toBeGreaterThan(0)
  expect(longest).toBeLessThan(1_000)
}, 60_000)
