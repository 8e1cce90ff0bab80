import { expect, test } from 'vitest'
import { widenMargin } from '#algorithms'
import type { AscentRequest, LatentHead, Latents } from '#ports'
import { fromFloat16, toFloat16 } from '#tensor'
import { identity, linearHead } from '../../support/linear-model.ts'
import { latentsFrom } from '../../support/seek-problem.ts'

const NEVER = new AbortController().signal
const OPTIONS = { lr: 0.1, beta1: 0.9, temperature: 1, steps: 3, lookFirst: false }

function recordingHead(matrix: readonly Float64Array[]) {
  const arithmetic = linearHead(matrix)
  const ascents: AscentRequest[] = []
  const head: Pick<LatentHead, 'ascend' | 'decode'> = {
    async ascend(request) {
      ascents.push(request)
      return arithmetic.ascend(request)
    },
    decode: async (latents) => arithmetic.decode(latents),
  }
  return { head: head as LatentHead, ascents, decode: arithmetic.decode }
}

const margin = ({ data }: Latents) => data[1]! - data[0]!

test('widens the margin of the returned tokens with reward +1', async () => {
  const { head, ascents } = recordingHead(identity(3))
  const across = latentsFrom([[1, 1.01, -5]])

  const kept = await widenMargin(head, across, [1], OPTIONS, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0.5)
  expect(ascents).toHaveLength(1)
  expect(ascents[0]).toMatchObject({ advantages: [1], actions: [[1]], maxSteps: 3, untilChanged: false })
})

test('returns latents that decode to the answer and are already rounded to half precision', async () => {
  // 1 and 1 + 2^-13 are equal in half precision: without a margin the stored latents decode to token 0.
  const { head, decode } = recordingHead(identity(2))
  const across = latentsFrom([[1, 1 + 2 ** -13]])
  expect(decode(across)).toEqual([1])
  expect(decode({ ...across, data: fromFloat16(toFloat16(across.data)) })).toEqual([0])

  const kept = await widenMargin(head, across, [1], { ...OPTIONS, steps: 0 }, NEVER)

  expect(decode(kept!)).toEqual([1])
  expect(fromFloat16(toFloat16(kept!.data))).toEqual(kept!.data)
})

test('does no update when `steps` is 0 and the latents decode to the answer', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[0, 1]]), [1], { ...OPTIONS, steps: 0 }, NEVER)

  expect(kept?.data).toEqual(Float32Array.from([0, 1]))
  expect(ascents).toHaveLength(0)
})

test('updates towards sampled tokens that the latents do not decode to', async () => {
  const { head } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[1, 0.4]]), [1], OPTIONS, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0)
})

test('returns as many positions as the answer has', async () => {
  const { head } = recordingHead(identity(2))
  const latents = latentsFrom([
    [0, 1],
    [1, 0],
  ])

  expect(await widenMargin(head, latents, [1], OPTIONS, NEVER)).toMatchObject({ length: 1, width: 2 })
})

test('returns null within its bound for tokens that no latents decode to', async () => {
  // Two equal rows: the argmax is always the first of them.
  const { head, ascents } = recordingHead([Float64Array.of(1, 0), Float64Array.of(1, 0)])

  expect(await widenMargin(head, latentsFrom([[1, 0]]), [1], OPTIONS, NEVER)).toBeNull()
  expect(ascents).toHaveLength(5)
})

test('returns null for latents beyond half precision', async () => {
  const { head } = recordingHead(identity(2))
  expect(await widenMargin(head, latentsFrom([[0, 70_000]]), [1], OPTIONS, NEVER)).toBeNull()
})

test('does not modify its input', async () => {
  const { head } = recordingHead(identity(2))
  const latents = latentsFrom([[0, 1]])
  await widenMargin(head, latents, [1], OPTIONS, NEVER)

  expect(latents.data).toEqual(Float32Array.from([0, 1]))
})

test('checks first with `lookFirst`: latents that decode to the answer stay unchanged', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[0, 1]]), [1], { ...OPTIONS, lookFirst: true }, NEVER)

  expect(kept?.data).toEqual(Float32Array.from([0, 1]))
  expect(ascents).toHaveLength(0)
})

test('does all margin steps when that first check fails, as for sampled tokens', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[1, 0]]), [1], { ...OPTIONS, lookFirst: true }, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0)
  expect(ascents.map(({ maxSteps }) => maxSteps)).toEqual([3, 3])
})
