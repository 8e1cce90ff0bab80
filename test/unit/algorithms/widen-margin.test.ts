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

test('puts the returned tokens clear of the margin with reward +1', async () => {
  const { head, ascents } = recordingHead(identity(3))
  const across = latentsFrom([[1, 1.01, -5]])

  const kept = await widenMargin(head, across, [1], OPTIONS, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0.5)
  expect(ascents).toHaveLength(1)
  expect(ascents[0]).toMatchObject({ advantages: [1], actions: [[1]], maxSteps: 3, untilChanged: false })
})

test('gives latents that decode to the answer after half precision, and are already rounded to it', async () => {
  // 1 and 1 + 2^-13 are the same number in half precision: without margin the stored latents decode to token 0.
  const { head, decode } = recordingHead(identity(2))
  const across = latentsFrom([[1, 1 + 2 ** -13]])
  expect(decode(across)).toEqual([1])
  expect(decode({ ...across, data: fromFloat16(toFloat16(across.data)) })).toEqual([0])

  const kept = await widenMargin(head, across, [1], { ...OPTIONS, steps: 0 }, NEVER)

  expect(decode(kept!)).toEqual([1])
  expect(fromFloat16(toFloat16(kept!.data))).toEqual(kept!.data)
})

test('only looks when no steps are asked for and the latents are fine', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[0, 1]]), [1], { ...OPTIONS, steps: 0 }, NEVER)

  expect(kept?.data).toEqual(Float32Array.from([0, 1]))
  expect(ascents).toHaveLength(0)
})

test('pulls towards sampled tokens that the latents do not decode to', async () => {
  const { head } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[1, 0.4]]), [1], OPTIONS, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0)
})

test('keeps no more positions than the answer has', async () => {
  const { head } = recordingHead(identity(2))
  const latents = latentsFrom([
    [0, 1],
    [1, 0],
  ])

  expect(await widenMargin(head, latents, [1], OPTIONS, NEVER)).toMatchObject({ length: 1, width: 2 })
})

test('gives up within its bound on tokens that no latents decode to', async () => {
  // Two equal rows: the argmax is always the first of them.
  const { head, ascents } = recordingHead([Float64Array.of(1, 0), Float64Array.of(1, 0)])

  expect(await widenMargin(head, latentsFrom([[1, 0]]), [1], OPTIONS, NEVER)).toBeNull()
  expect(ascents).toHaveLength(5)
})

test('gives up on latents beyond half precision', async () => {
  const { head } = recordingHead(identity(2))
  expect(await widenMargin(head, latentsFrom([[0, 70_000]]), [1], OPTIONS, NEVER)).toBeNull()
})

test('leaves its input as it was', async () => {
  const { head } = recordingHead(identity(2))
  const latents = latentsFrom([[0, 1]])
  await widenMargin(head, latents, [1], OPTIONS, NEVER)

  expect(latents.data).toEqual(Float32Array.from([0, 1]))
})

test('looks first where it is told to: latents that decode to the answer stay as they are', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[0, 1]]), [1], { ...OPTIONS, lookFirst: true }, NEVER)

  expect(kept?.data).toEqual(Float32Array.from([0, 1]))
  expect(ascents).toHaveLength(0)
})

test('pulls by whole margin steps when that first look fails, as it does for sampled tokens', async () => {
  const { head, ascents } = recordingHead(identity(2))
  const kept = await widenMargin(head, latentsFrom([[1, 0]]), [1], { ...OPTIONS, lookFirst: true }, NEVER)

  expect(margin(kept!)).toBeGreaterThan(0)
  expect(ascents.map(({ maxSteps }) => maxSteps)).toEqual([3, 3])
})
