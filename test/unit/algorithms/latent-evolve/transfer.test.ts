import { describe, expect, test } from 'vitest'
import {
  agreeingPositions,
  identityWeaver,
  queryEmbedding,
  transferMomentum,
  weighNeighbours,
} from '#algorithms'
import type { Latents, Neighbour, Weaver } from '#ports'
import { latentsFrom } from '../../../support/seek-problem.ts'

function neighbour(
  similarity: number,
  zBase: readonly (readonly number[])[],
  zStar: readonly (readonly number[])[],
): Neighbour {
  return { episodeId: `at ${similarity}`, similarity, zBase: latentsFrom(zBase), zStar: latentsFrom(zStar) }
}

const UNBOUNDED = {
  weaver: identityWeaver,
  momentum: 'residual',
  maxShift: Number.POSITIVE_INFINITY,
} as const

/** The identity weaver does not read the embedding. */
function asked(zBase: Latents) {
  return { embedding: new Float32Array(), zBase }
}

/** Weaver that adds the first coordinate of the embedding everywhere, and counts its calls. */
function shiftingWeaver(): Weaver & { readonly runs: number } {
  let runs = 0
  return {
    version: 'weaver-1',
    get runs() {
      return runs
    },
    async apply(rows) {
      runs += 1
      return rows.map(({ embedding, zBase }) => ({
        ...zBase,
        data: zBase.data.map((value) => value + embedding[0]!),
      }))
    },
  }
}

describe('weights', () => {
  test('are a softmax over similarities at temperature t', () => {
    const near = [neighbour(0.9, [[0]], [[0]]), neighbour(0.8, [[0]], [[0]])]

    const [first, second] = weighNeighbours(near, { temperature: 0.05, minSimilarity: 0.5 })

    // exp(.1 / .05) = e^2
    expect(first!.weight).toBeCloseTo(Math.E ** 2 / (1 + Math.E ** 2), 12)
    expect(second!.weight).toBeCloseTo(1 / (1 + Math.E ** 2), 12)
  })

  test('leave out neighbours below the similarity floor', () => {
    const mixed = [neighbour(0.5, [[0]], [[0]]), neighbour(0.49, [[0]], [[0]])]

    expect(weighNeighbours(mixed, { temperature: 1, minSimilarity: 0.5 })).toMatchObject([
      { neighbour: { similarity: 0.5 }, weight: 1 },
    ])
    expect(weighNeighbours(mixed, { temperature: 1, minSimilarity: 0.6 })).toEqual([])
  })
})

describe('momentum transfer', () => {
  test('adds the weighed shifts of the neighbours to the base', async () => {
    const zBase = latentsFrom([
      [1, 2],
      [3, 4],
    ])
    const neighbours = [
      {
        weight: 0.75,
        neighbour: neighbour(
          0.9,
          [
            [0, 0],
            [1, 1],
          ],
          [
            [1, -1],
            [1, 3],
          ],
        ),
      },
      {
        weight: 0.25,
        neighbour: neighbour(
          0.8,
          [
            [2, 2],
            [0, 0],
          ],
          [
            [2, 4],
            [4, 0],
          ],
        ),
      },
    ]

    const z0 = await transferMomentum(asked(zBase), neighbours, UNBOUNDED)

    expect([...z0.data]).toEqual([1 + 0.75, 2 - 0.75 + 0.5, 3 + 1, 4 + 1.5])
    expect([...zBase.data]).toEqual([1, 2, 3, 4])
  })

  test('adds nothing at positions a neighbour lacks, without renormalising its weight', async () => {
    const neighbours = [
      { weight: 0.5, neighbour: neighbour(0.9, [[0]], [[2]]) },
      { weight: 0.5, neighbour: neighbour(0.9, [[0], [0]], [[2], [2]]) },
    ]

    const z0 = await transferMomentum(asked(latentsFrom([[1], [1], [1]])), neighbours, UNBOUNDED)

    expect([...z0.data]).toEqual([1 + 2, 1 + 1, 1])
  })

  test('ignores positions of a longer neighbour beyond this answer', async () => {
    const longer = { weight: 1, neighbour: neighbour(0.9, [[0], [0]], [[1], [9]]) }

    const z0 = await transferMomentum(asked(latentsFrom([[1]])), [longer], UNBOUNDED)

    expect([...z0.data]).toEqual([2])
  })

  test('clips every shift to `maxShift` norms of the base, and so their sum', async () => {
    const far = { weight: 1, neighbour: neighbour(0.9, [[0, 0]], [[30, 40]]) }
    const half = { ...UNBOUNDED, maxShift: 0.5 }

    const z0 = await transferMomentum(asked(latentsFrom([[3, 4]])), [far], half)

    expect([...z0.data]).toEqual([3 + 1.5, 4 + 2])
  })

  test('adds a shift at its first positions only, and clips what is added', async () => {
    const own = { weight: 1, neighbour: neighbour(0.9, [[0], [0], [0]], [[3], [4], [99]]) }
    const at = async (positions: number, maxShift = Number.POSITIVE_INFINITY) => {
      const options = { ...UNBOUNDED, maxShift, positions: [positions] }
      return [...(await transferMomentum(asked(latentsFrom([[0], [0], [10]])), [own], options)).data]
    }

    expect(await at(0)).toEqual([0, 0, 10])
    expect(await at(2)).toEqual([3, 4, 10])
    expect(await at(9)).toEqual([3, 4, 109])
    // The norm of the first two is 5, half of that of the base.
    expect(await at(2, 0.25)).toEqual([1.5, 2, 10])
  })

  test.each([
    ['the same draft, changed at its third token', [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 9, 9], 3],
    ['drafts that part before the change', [1, 7, 3, 4], [1, 2, 3, 4], [1, 2, 9, 9], 1],
    ['drafts that part at the changed token', [1, 2, 8, 4], [1, 2, 3, 4], [1, 2, 9, 9], 2],
    ['drafts that part after the change', [1, 2, 3, 8], [1, 2, 3, 4], [1, 9, 9, 9], 2],
    ['another draft', [5, 2, 3, 4], [1, 2, 3, 4], [9, 9, 9, 9], 0],
    ['an episode that changed nothing', [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], 4],
    ['a shorter episode', [1, 2, 3, 4], [1, 2], [1, 2], 2],
    ['a shorter draft', [1, 2], [1, 2, 3], [1, 2, 9], 2],
  ])('a shift counts where the tokens agree: %s', (_, draft, base, star, expected) => {
    expect(agreeingPositions(draft, { base, star })).toBe(expected)
  })

  test('limits a neighbour with a huge shift to its weight', async () => {
    const sound = neighbour(0.9, [[0, 0]], [[1, 0]])
    const poisoned = neighbour(0.9, [[0, 0]], [[0, -1e6]])
    const near = [sound, poisoned].map((each) => ({ weight: 0.5, neighbour: each }))

    const z0 = await transferMomentum(asked(latentsFrom([[2, 0]])), near, { ...UNBOUNDED, maxShift: 1 })

    expect([...z0.data]).toEqual([2 + 0.5, -0.5 * 2])
  })

  test('measures shifts from the active weaver, so that learned shifts are not added twice', async () => {
    const own = { ...neighbour(0.9, [[1]], [[4]]), embedding: Float32Array.of(2) }
    const query = { embedding: Float32Array.of(2), zBase: latentsFrom([[1]]) }
    const momentum = async (mode: 'residual' | 'paper') => {
      const options = { ...UNBOUNDED, weaver: shiftingWeaver(), momentum: mode }
      return [...(await transferMomentum(query, [{ weight: 1, neighbour: own }], options)).data]
    }

    expect(await momentum('residual')).toEqual([4])
    expect(await momentum('paper')).toEqual([1 + 2 + (4 - 1)])
  })

  test('is the same in both modes while the weaver is the identity', async () => {
    const own = { weight: 0.5, neighbour: neighbour(0.9, [[1, 1]], [[4, -1]]) }
    const query = asked(latentsFrom([[1, 2]]))

    const residual = await transferMomentum(query, [own], UNBOUNDED)

    expect(residual).toEqual(await transferMomentum(query, [own], { ...UNBOUNDED, momentum: 'paper' }))
    expect([...residual.data]).toEqual([2.5, 1])
  })

  test('weaves query and neighbours in one run', async () => {
    const weaver = shiftingWeaver()
    const own = [1, 2, 3].map((shift) => ({
      weight: 1 / 3,
      neighbour: { ...neighbour(0.9, [[0]], [[1 + shift]]), embedding: Float32Array.of(shift) },
    }))
    const query = { embedding: Float32Array.of(10), zBase: latentsFrom([[0]]) }

    const z0 = await transferMomentum(query, own, { ...UNBOUNDED, weaver })

    expect([...z0.data]).toEqual([11])
    expect(weaver.runs).toBe(1)
  })

  test('refuses latents of another width, and a trained weaver without embeddings', async () => {
    const odd = { weight: 1, neighbour: neighbour(0.9, [[0, 0]], [[1, 1]]) }
    await expect(transferMomentum(asked(latentsFrom([[1]])), [odd], UNBOUNDED)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    })

    const bare = { weight: 1, neighbour: neighbour(0.9, [[0]], [[1]]) }
    const query = { embedding: Float32Array.of(1), zBase: latentsFrom([[1]]) }
    await expect(
      transferMomentum(query, [bare], { ...UNBOUNDED, weaver: shiftingWeaver() }),
    ).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})

describe('query embedding', () => {
  test('is centred, then normalised', () => {
    const embedding = queryEmbedding(Float32Array.of(4, 5), Float32Array.of(1, 1))
    expect([...embedding].map((value) => value.toFixed(6))).toEqual(['0.600000', '0.800000'])
    expect([...queryEmbedding(Float32Array.of(0, 2), null)]).toEqual([0, 1])
  })

  test('stays zero for a state equal to the mean, rather than NaN', () => {
    expect([...queryEmbedding(Float32Array.of(1, 1), Float32Array.of(1, 1))]).toEqual([0, 0])
  })

  test('refuses a mean of another width', () => {
    expect(() => queryEmbedding(Float32Array.of(1, 1), Float32Array.of(1))).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    )
  })
})
