/** @file The training process: its state, its failures, and its low priority. */

import { readdirSync, readFileSync } from 'node:fs'
import { constants, getPriority } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, suite, test, vi } from 'vitest'
import { createTrainer, type Trainer } from '#engine'
import { createRandom, createTensor, float32 } from '#tensor'
import { counter, descentStep, scaling, squaring } from '../../fixtures/small-graphs.ts'
import { startProgram } from '../../support/child-process.ts'

const PARENT = fileURLToPath(new URL('./trainer-parent.ts', import.meta.url))
const soon = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 2 })
const start = () =>
  createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger: pino({ level: 'silent' }) })
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
const counting = { state: { count: float32(10) }, carry: { count: 'total' } }
const scalar = ({ data }: { readonly data: unknown }) => (data as Float32Array)[0]

suite('a trainer', () => {
  let trainer: Trainer

  beforeAll(async () => {
    trainer = await start()
  })
  afterAll(async () => {
    await trainer.close()
  })

  test('runs graphs in a process of its own, at the lowest priority, threads and all', async () => {
    const { pid, state, provider } = trainer.status()
    expect({ state, provider }).toEqual({ state: 'ready', provider: 'cpu' })
    expect(pid).not.toBe(process.pid)
    const graph = await trainer.load(scaling(3))
    const { y } = await graph.run({ x: float32([1, 2, 0.5]) }, ['y'])
    expect(y).toEqual(float32([3, 6, 1.5]))
    expect(getPriority(pid!)).toBe(constants.priority.PRIORITY_LOW)
    await graph.close()
  })

  test.runIf(process.platform === 'linux')(
    'runs the threads of ONNX Runtime at the lowest priority',
    async () => {
      const threaded = await createTrainer({
        executionProvider: 'cpu',
        cudaDevice: 0,
        threads: 3,
        logger: pino({ level: 'silent' }),
      })
      const niceness = () => {
        const tasks = `/proc/${threaded.status().pid}/task`
        // Field 19; the name in field 2 may hold spaces.
        return readdirSync(tasks).map((task) =>
          Number(readFileSync(`${tasks}/${task}/stat`, 'utf8').split(') ')[1]!.split(' ')[16]),
        )
      }
      const isLow = (nice: number) => nice === constants.priority.PRIORITY_LOW
      const before = niceness()
      await threaded.load(squaring(2))
      const after = niceness()
      expect(after.length).toBeGreaterThanOrEqual(before.length + 2)
      expect(after.filter(isLow).length - before.filter(isLow).length).toBe(after.length - before.length)
      await threaded.close()
    },
  )

  test('keeps state between runs and carries it over, also when runs are submitted at once', async () => {
    const graph = await trainer.load(counter(), counting)
    const one = { by: float32(1) }
    // An output that is only carried is not returned.
    expect(await graph.run(one, [])).toEqual({})
    expect(await graph.run(one, ['seen'])).toEqual({ seen: float32(11) })
    const seen = await Promise.all([1, 2, 3, 4].map(() => graph.run(one, ['seen', 'total'])))
    expect(seen.map(({ total }) => scalar(total))).toEqual([13, 14, 15, 16])
    expect(await graph.read(['count'])).toEqual({ count: float32(16) })
    await graph.close()
  })

  test('two graphs keep their states apart', async () => {
    const [a, b] = await Promise.all([trainer.load(counter(), counting), trainer.load(counter(), counting)])
    await a.run({ by: float32(5) }, [])
    expect(scalar((await a.read(['count'])).count)).toBe(15)
    expect(scalar((await b.read(['count'])).count)).toBe(10)
    await Promise.all([a.close(), b.close()])
  })

  test('a run that fails carries nothing over', async () => {
    const graph = await trainer.load(counter(), counting)
    await expect(
      graph.run({ by: createTensor('float64', [], Float64Array.of(1)) }, []),
    ).rejects.toMatchObject({
      code: 'SESSION_FAILED',
    })
    expect(scalar((await graph.read(['count'])).count)).toBe(10)
    await graph.close()
  })

  test('descends a gradient: the weights find the line, the data given once', async () => {
    const random = createRandom(7)
    const truth = [2, -1, 0.5]
    const x = Float32Array.from({ length: 32 * 3 }, () => random.uniform() * 4 - 2)
    const y = Float32Array.from({ length: 32 }, (_, row) =>
      truth.reduce((sum, w, d) => sum + w * x[row * 3 + d]!, 0),
    )
    const graph = await trainer.load(descentStep(), {
      state: {
        x: createTensor('float32', [32, 3], x),
        y: createTensor('float32', [32, 1], y),
        w: createTensor('float32', [3, 1], new Float32Array(3)),
      },
      carry: { w: 'w_next' },
    })
    const losses = []
    for (let step = 0; step < 60; step++) {
      losses.push(scalar((await graph.run({ lr: float32(0.1) }, ['loss'])).loss)!)
    }
    expect(losses[0]).toBeGreaterThan(1)
    expect(losses.at(-1)).toBeLessThan(1e-4)
    const { w } = await graph.read(['w'])
    truth.forEach((expected, d) => {
      expect((w.data as Float32Array)[d]).toBeCloseTo(expected, 2)
    })
    await graph.close()
  })

  test('refuses wrong names with an error that lists them, and continues to work', async () => {
    const load = (options: Parameters<Trainer['load']>[1]) => trainer.load(counter(), options)
    const state = { count: float32(0) }
    await expect(load({ state: { tally: float32(0) } })).rejects.toMatchObject({
      code: 'GRAPH_PRECONDITION',
      message: expect.stringContaining('expected state among its inputs (count,by)'),
    })
    await expect(load({ state, carry: { count: 'sum' } })).rejects.toMatchObject({
      code: 'GRAPH_PRECONDITION',
      message: expect.stringContaining('got sum'),
    })
    await expect(load({ state, carry: { by: 'total' } })).rejects.toMatchObject({
      code: 'GRAPH_PRECONDITION',
    })
    await expect(trainer.load(scaling(2).subarray(0, 40))).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: expect.stringMatching(/ONNX Runtime refused: .*protobuf/i),
    })
    const graph = await load({ state, carry: { count: 'total' } })
    await expect(graph.run({ by: float32(1), count: float32(1) }, [])).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: 'run a graph: expected by to be fed, got count',
    })
    await expect(graph.run({}, [])).rejects.toMatchObject({ code: 'SESSION_FAILED' })
    await expect(graph.run({ by: float32(1) }, ['sum'])).rejects.toMatchObject({ code: 'SESSION_FAILED' })
    await expect(graph.read(['total'])).rejects.toMatchObject({ code: 'SESSION_FAILED' })
    expect(await graph.run({ by: float32(1) }, ['total'])).toEqual({ total: float32(1) })
    await graph.close()
  })

  test('closing a graph lets runs in flight finish, and refuses others', async () => {
    const graph = await trainer.load(counter(), counting)
    const runs = [1, 2, 3].map(() => graph.run({ by: float32(1) }, ['total']))
    await Promise.all([graph.close(), graph.close()])
    expect(scalar((await runs[2]!).total)).toBe(13)
    await expect(graph.run({ by: float32(1) }, [])).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: 'graph: expected an open graph, got a closed one',
    })
  })

  test('reports its peak memory', async () => {
    const before = await trainer.peakMemoryBytes()
    expect(before).toBeGreaterThan(20 * 2 ** 20)
    const bytes = 64 * 2 ** 20
    const graph = await trainer.load(scaling(2), {
      state: { x: createTensor('float32', [bytes / 4], new Float32Array(bytes / 4).fill(1)) },
    })
    expect(await trainer.peakMemoryBytes()).toBeGreaterThan(before + bytes * 0.9)
    await graph.close()
  })

  test.runIf(process.platform === 'linux')('uses no CPU time while it is idle', async () => {
    const graph = await trainer.load(squaring(20))
    await graph.run({ x: float32(0) }, ['y'])
    const { pid } = trainer.status()
    const ticks = () => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      return Number(fields[11]) + Number(fields[12])
    }
    await setTimeout(100)
    const before = ticks()
    await setTimeout(500)
    // A busy process would use 50 ticks of 10 ms.
    expect(ticks() - before).toBeLessThanOrEqual(2)
    await graph.close()
  })
})

test('a trainer that dies rejects the calls in flight and all later calls', async () => {
  const trainer = await start()
  const graph = await trainer.load(counter(), counting)
  const slow = await trainer.load(squaring(5000))
  const { pid } = trainer.status()
  const work = [slow.run({ x: float32(0) }, ['y']), graph.run({ by: float32(1) }, ['total'])]
  const outcomes = Promise.all(
    work.map((run) => expect(run).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })),
  )
  await setTimeout(50)
  process.kill(pid!, 'SIGKILL')
  await outcomes
  expect(trainer.status()).toEqual({ state: 'crashed', provider: 'cpu', pid: null })
  await expect(graph.read(['count'])).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
  await expect(trainer.load(counter())).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
  await expect(trainer.peakMemoryBytes()).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
  await graph.close()
  await trainer.close()
  expect(trainer.status().state).toBe('crashed')
})

test('a call that cannot be sent is rejected, and closing the trainer does not wait for it', async () => {
  const trainer = await start()
  const graph = await trainer.load(scaling(3))
  const unsendable = { ...float32([1]), data: (() => 1) as unknown as Float32Array }
  await expect(graph.run({ x: unsendable }, ['y'])).rejects.toThrow(/could not be cloned/)
  expect(await graph.run({ x: float32([2]) }, ['y'])).toEqual({ y: float32([6]) })
  const since = performance.now()
  await trainer.close()
  expect(performance.now() - since).toBeLessThan(4_000)
})

test('closing ends the process, after the run in flight', async () => {
  const trainer = await start()
  const { pid } = trainer.status()
  const graph = await trainer.load(counter(), counting)
  const work = graph.run({ by: float32(1) }, ['total'])
  await Promise.all([trainer.close(), trainer.close()])
  expect(await work).toEqual({ total: float32(11) })
  expect(isAlive(pid!)).toBe(false)
  expect(trainer.status()).toEqual({ state: 'closed', provider: 'cpu', pid: null })
  await expect(trainer.load(counter())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await expect(graph.run({ by: float32(1) }, [])).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await graph.close()
})

test('the process ends with its parent, even when that is killed during a run of a minute', async () => {
  const parent = startProgram(PARENT)
  const pid = Number(await parent.line(''))
  expect(isAlive(pid)).toBe(true)
  await setTimeout(500)
  await parent.kill()
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 5000 })
})

test('a missing provider is refused, and its process ends', async () => {
  const lines: { enginePid?: number }[] = []
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const attempt = createTrainer({ executionProvider: 'cuda', cudaDevice: 63, logger })
  await expect(attempt).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
  const pids = lines.flatMap(({ enginePid }) => enginePid ?? [])
  await soon(() => expect(pids.some(isAlive)).toBe(false))
})
