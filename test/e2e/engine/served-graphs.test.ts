/**
 * @file Graphs beside a serving model: loaded in every process, reloaded after a restart, never delaying
 * generation for long.
 */

import { pino } from 'pino'
import { afterAll, beforeAll, expect, suite, test, vi } from 'vitest'
import { createEngine, type Engine } from '#engine'
import type { GenerationRow } from '#ports'
import { createTensor, float32, toFloat16 } from '#tensor'
import { counter, half, scaling, squaring } from '../../fixtures/small-graphs.ts'
import { type TinyModelDirectory, tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

const never = () => new AbortController().signal
const soon = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 2 })
const prompt = [1, 4, 10, 11, 12, 13, 14, 15]
const rows = (count: number, maxNewTokens = 60): GenerationRow[] =>
  Array.from({ length: count }, (_, seed) => ({
    prefix: [],
    temperature: 3,
    seed,
    maxNewTokens,
    latents: 0,
  }))

let model: TinyModelDirectory

function start(replicas: number): Promise<Engine> {
  return createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    replicas,
    logger: pino({ level: 'silent' }),
  })
}

async function answers(engine: Engine, count: number): Promise<readonly (readonly number[])[]> {
  const session = await engine.open(prompt, { signal: never() })
  const answered = await session.generate(rows(count))
  session.close()
  return answered.map(({ tokens }) => tokens)
}

beforeAll(async () => {
  model = await tinyModelDirectory({ width: 128, heads: 4, layers: 6 })
})
afterAll(async () => {
  await model[Symbol.asyncDispose]()
})

suite('graphs beside a model', () => {
  let engine: Engine

  beforeAll(async () => {
    engine = await start(1)
  })
  afterAll(async () => {
    await engine.close()
  })

  test('run while answers are being generated, and change none of them', async () => {
    // So many that the model is still busy when the graph has run.
    const expected = await answers(engine, 160)
    const graph = await engine.graphs.load(scaling(2))
    let isGenerated = false
    const generated = answers(engine, 160).finally(() => {
      isGenerated = true
    })
    await soon(() => expect(engine.status().runningRows).toBeGreaterThan(0))
    expect(await graph.run({ x: float32([1.5, 4]) }, ['y'])).toEqual({ y: float32([3, 8]) })
    expect(isGenerated).toBe(false)
    expect(await generated).toEqual(expected)
    await graph.close()
  })

  test('never starve generation, however many runs wait', async () => {
    const graph = await engine.graphs.load(squaring(30))
    await graph.run({ x: float32(0) }, ['y'])
    let done = 0
    const runs = Array.from({ length: 200 }, async () => {
      await graph.run({ x: float32(0) }, ['y'])
      done += 1
    })
    await answers(engine, 1)
    expect(done).toBeLessThan(200)
    await Promise.all(runs)
    expect(done).toBe(200)
    await graph.close()
  })

  test('keep the state that they were loaded with, and carry nothing over', async () => {
    const graph = await engine.graphs.load(counter(), { state: { count: float32(3) } })
    const run = async () => (await graph.run({ by: float32(1) }, ['total'])).total
    expect([await run(), await run()]).toEqual([float32(4), float32(4)])
    expect(await graph.read(['count'])).toEqual({ count: float32(3) })
    await graph.close()
    await expect(
      engine.graphs.load(counter(), { state: { count: float32(3) }, carry: { count: 'total' } }),
    ).rejects.toMatchObject({
      code: 'GRAPH_PRECONDITION',
      message: 'load a graph: expected no carry for a graph beside a serving model, got count',
    })
  })

  test('take half precision as raw bits', async () => {
    const graph = await engine.graphs.load(half())
    const bits = createTensor('float16', [2], toFloat16(Float32Array.of(3, -0.5)))
    const { y } = await graph.run({ x: bits }, ['y'])
    expect(y).toEqual(createTensor('float16', [2], toFloat16(Float32Array.of(1.5, -0.25))))
    await graph.close()
  })

  test('damaged graphs are refused, and all others continue to work', async () => {
    const good = await engine.graphs.load(scaling(5))
    for (const bytes of [new Uint8Array(), scaling(2).subarray(0, 40), new Uint8Array(100).fill(255)]) {
      await expect(engine.graphs.load(bytes)).rejects.toMatchObject({
        code: 'SESSION_FAILED',
        message: expect.stringContaining('ONNX Runtime refused'),
      })
    }
    expect(await good.run({ x: float32([1]) }, ['y'])).toEqual({ y: float32([5]) })
    expect(await answers(engine, 2)).toHaveLength(2)
    expect(engine.status().restarts).toBe(0)
    await good.close()
  })

  test('are loaded again after a restart; a run in flight fails', async () => {
    const graph = await engine.graphs.load(counter(), { state: { count: float32(3) } })
    const slow = await engine.graphs.load(squaring(5000))
    const work = expect(slow.run({ x: float32(0) }, ['y'])).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
    process.kill(engine.status().pid!, 'SIGKILL')
    await work
    expect(engine.status().state).toBe('restarting')
    expect(await graph.run({ by: float32(1) }, ['total'])).toEqual({ total: float32(4) })
    expect(engine.status().restarts).toBe(1)
    await Promise.all([graph.close(), slow.close()])
  })

  test('closing one waits for its runs and refuses more; closing the engine closes all', async () => {
    const graph = await engine.graphs.load(scaling(2))
    const work = graph.run({ x: float32([1]) }, ['y'])
    await Promise.all([graph.close(), graph.close()])
    expect(await work).toEqual({ y: float32([2]) })
    await expect(graph.run({ x: float32([1]) }, ['y'])).rejects.toMatchObject({ code: 'SESSION_FAILED' })
    const other = await engine.graphs.load(scaling(2))
    await engine.close()
    await expect(other.run({ x: float32([1]) }, ['y'])).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    await expect(engine.graphs.load(scaling(2))).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    await other.close()
  })
})

suite('graphs beside a model in two processes', () => {
  test('run in both, and continue when one of them is killed', async () => {
    const engine = await start(2)
    const graph = await engine.graphs.load(squaring(30))
    const run = () => graph.run({ x: float32(0) }, ['y'])
    const busy = () => engine.status().replicas.map(({ waitingRows }) => waitingRows)
    const pair = [run(), run()]
    await soon(() => expect(busy()).toEqual([1, 1]))
    await Promise.all(pair)

    const [victim] = engine.status().replicas
    process.kill(victim!.pid!, 'SIGKILL')
    await soon(() => expect(engine.status().replicas[0]!.state).toBe('restarting'))
    expect(await run()).toEqual({ y: float32(0) })
    await soon(() => expect(engine.status().replicas[0]!.state).toBe('ready'))
    const again = [run(), run()]
    await soon(() => expect(busy()).toEqual([1, 1]))
    expect(await Promise.all(again)).toEqual([{ y: float32(0) }, { y: float32(0) }])
    await graph.close()
    await engine.close()
  })
})
