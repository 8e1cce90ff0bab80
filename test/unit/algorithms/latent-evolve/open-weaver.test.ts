import { beforeAll, describe, expect, test } from 'vitest'
import { openWeaver, trainWeaver } from '#algorithms'
import { createModel, createTape, encodeModel, value } from '#onnx'
import type { WeaverRow } from '#ports'
import { float32 } from '#tensor'
import { graphRunner } from '../../../support/graph-runner.ts'
import { LATENTS, SMALL, syntheticEpisodes, WIDTH } from '../../../support/synthetic-episodes.ts'

const IDENTITY = { version: 'weaver-7', latents: LATENTS, width: WIDTH }
let model: Uint8Array

beforeAll(async () => {
  const run = { seed: 1, signal: new AbortController().signal }
  const training = await trainWeaver(graphRunner(), syntheticEpisodes(80), run, { ...SMALL, epochs: 5 })
  if ('skipped' in training) throw new Error(training.skipped)
  ;({ model } = training.trained)
})

/** A row of `length` positions. */
function row(seed: number, length: number): WeaverRow {
  const { embedding } = syntheticEpisodes(1, seed)[0]!
  const data = Float32Array.from({ length: length * WIDTH }, (_, index) => Math.sin(seed + index))
  return { embedding, zBase: { data, length, width: WIDTH } }
}

describe('an open weaver', () => {
  test('weaves rows of any length, each independently of the others', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const rows = [1, 2, 3, 5, 1].map((length, seed) => row(seed + 1, length))

    const together = await weaver.apply(rows)

    expect(weaver.version).toBe('weaver-7')
    for (const [index, one] of rows.entries()) {
      const [alone] = await weaver.apply([one])
      expect(together[index]).toMatchObject({ length: one.zBase.length, width: WIDTH })
      for (const [at, expected] of alone!.data.entries()) {
        expect(together[index]!.data[at]).toBeCloseTo(expected, 5)
      }
      expect([...alone!.data]).not.toEqual([...one.zBase.data])
    }
  })

  test('leaves later positions unchanged and ignores them', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const long = row(1, LATENTS + 2)
    const known = { ...long.zBase, data: long.zBase.data.slice(0, LATENTS * WIDTH), length: LATENTS }

    const [woven] = await weaver.apply([long])
    const [short] = await weaver.apply([{ ...long, zBase: known }])

    expect([...woven!.data.subarray(LATENTS * WIDTH)]).toEqual([...long.zBase.data.subarray(LATENTS * WIDTH)])
    expect([...woven!.data.subarray(0, LATENTS * WIDTH)]).toEqual([...short!.data])
  })

  test('weaves more rows than fit one run, and an empty list', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const [first] = await weaver.apply([row(1, 2)])

    const many = await weaver.apply(Array.from({ length: 600 }, () => row(1, 2)))

    expect(many).toHaveLength(600)
    for (const [at, expected] of first!.data.entries()) expect(many[599]!.data[at]).toBeCloseTo(expected, 5)
    expect(await weaver.apply([])).toEqual([])
    expect(
      (
        await weaver.apply([
          { ...row(1, 1), zBase: { ...row(1, 1).zBase, data: new Float32Array(), length: 0 } },
        ])
      )[0]!.length,
    ).toBe(0)
  })

  test('does not modify its input', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const one = row(1, 2)
    const before = [...one.zBase.data]
    await weaver.apply([one])
    expect([...one.zBase.data]).toEqual(before)
  })

  test('refuses latents or an embedding of another width', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const odd = { embedding: new Float32Array(4), zBase: { data: new Float32Array(4), length: 1, width: 4 } }
    for (const rows of [[odd], [row(1, 1), odd], [{ ...row(1, 1), embedding: new Float32Array(4) }]]) {
      await expect(weaver.apply(rows)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
    }
  })

  test('throws ARTIFACT_INVALID for a result that is not finite', async () => {
    const weaver = await openWeaver(graphRunner(), model, IDENTITY)
    const { embedding, zBase } = row(1, 1)
    const broken = { embedding, zBase: { ...zBase, data: zBase.data.map(() => Number.NaN) } }
    await expect(weaver.apply([broken])).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
  })
})

/** Graph with the inputs of a weaver that returns `op` of z_base under a given name. */
function impostor(op: string, output = 'z', dims: readonly number[] = [LATENTS, WIDTH]): Uint8Array {
  const tape = createTape(['embedding', 'z_base', 'mask'])
  const inputs = op === 'Div' ? ['z_base', tape.constant(float32(0))] : ['z_base']
  tape.outputs([output], op, inputs)
  const graph = tape.graph({
    name: 'impostor',
    inputs: [
      value('embedding', 'float32', ['N', WIDTH]),
      value('z_base', 'float32', ['N', ...dims]),
      value('mask', 'float32', ['N', LATENTS]),
    ],
    outputs: [value(output, 'float32')],
  })
  return encodeModel(createModel(graph, { '': 20 }))
}

describe('openWeaver refuses', () => {
  test.each([
    ['no bytes', () => new Uint8Array(), IDENTITY],
    ['half of its bytes', () => model.subarray(0, model.length / 2), IDENTITY],
    ['another file', () => new TextEncoder().encode('{"not": "onnx"}'), IDENTITY],
    ['a graph of other outputs', () => impostor('Identity', 'y'), IDENTITY],
    ['a graph of other inputs', () => impostor('Identity', 'z', [1, 1]), IDENTITY],
    ['a result of another shape', () => impostor('Flatten'), IDENTITY],
    ['a result that is not finite', () => impostor('Div'), IDENTITY],
    ['a weaver of another width', () => model, { ...IDENTITY, width: 4 }],
    ['a weaver of other positions', () => model, { ...IDENTITY, latents: 2 }],
  ] as const)('%s', async (_what, bytes, identity) => {
    const runner = graphRunner()
    await expect(openWeaver(runner, bytes(), identity)).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
    expect(runner.open()).toBe(0)
  })
})
