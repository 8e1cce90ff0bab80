import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, suite, test, vi } from 'vitest'
import { createEngine, type Engine, type EngineOptions } from '#engine'
import { createGraph, createModel, encodeModel, value } from '#onnx'
import type { GenerationRow } from '#ports'
import { type TinyModelDirectory, tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

const greedy: GenerationRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 24, latents: 3 }
const prompt = (index: number) => [
  1,
  4,
  ...Array.from({ length: 2 + (index % 7) }, (_, i) => 10 + ((index * 7 + i) % 54)),
  5,
]
/** Keeps the engine process busy for a second or two. */
const busy = (rows = 120): GenerationRow[] =>
  Array.from({ length: rows }, (_, seed) => ({ ...greedy, temperature: 3, seed, maxNewTokens: 80 }))
const never = () => new AbortController().signal
const soon = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 2 })

const PARENT = fileURLToPath(new URL('./engine-parent.ts', import.meta.url))

let model: TinyModelDirectory
let engine: Engine
const lines: { level: number; msg: string }[] = []
const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })

function start(change: Partial<EngineOptions> = {}): Promise<Engine> {
  return createEngine({ directory: model.path, executionProvider: 'cpu', cudaDevice: 0, logger, ...change })
}

async function generateAlone(target: Engine, index: number, row: Partial<GenerationRow> = {}) {
  const session = await target.open(prompt(index), { signal: never() })
  const [answer] = await session.generate([{ ...greedy, ...row }])
  session.close()
  return answer!
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

beforeAll(async () => {
  // Wide enough that a batch takes a while.
  model = await tinyModelDirectory({ width: 128, heads: 4, layers: 6 })
  engine = await start()
})

afterAll(async () => {
  await engine.close()
  await model[Symbol.asyncDispose]()
})

suite('an engine', () => {
  test('reports its model', () => {
    expect(engine).toMatchObject({ hiddenSize: 128, thoughtLayers: 7, contextLength: 96, eosTokenIds: [2] })
    expect(engine.status()).toMatchObject({ state: 'ready', provider: 'cpu', restarts: 0, sessions: 0 })
    expect(engine.status().pid).not.toBe(process.pid)
  })

  test('returns the latent thought of an answer on request', async () => {
    const { thought, latents } = await generateAlone(engine, 1, { thought: true, maxNewTokens: 1 })
    expect(thought).toMatchObject({ layers: 7, width: 128 })
    // For an answer of one token, the mean of the last layer is its one latent.
    for (const [d, value] of latents.data.entries()) expect(thought!.data[6 * 128 + d]).toBeCloseTo(value, 5)
    expect((await generateAlone(engine, 1)).thought).toBeNull()
  })

  test('serves a session: embed, generate, score, close', async () => {
    const session = await engine.open(prompt(0), { signal: never() })
    expect(session.promptTokens).toBe(prompt(0).length)
    const state = await session.embed()
    expect(state).toHaveLength(128)
    const [answer] = await session.generate([greedy])
    expect(answer!.latents).toMatchObject({ length: 3, width: 128 })
    state.forEach((x, d) => {
      expect(answer!.latents.data[d]).toBeCloseTo(x, 4)
    })
    const [verdict] = await session.score([{ sequence: answer!.sequence, suffix: [6] }], [7, 8])
    expect(verdict).toHaveLength(2)
    expect([...verdict!].every(Number.isFinite)).toBe(true)
    expect(engine.status().sessions).toBe(1)
    session.close()
    session.close()
    await expect(session.embed()).rejects.toMatchObject({ code: 'ABORTED' })
    expect(engine.status().sessions).toBe(0)
  })

  test('gives 16 concurrent sessions exactly the tokens that each gets alone', async () => {
    const rows = Array.from({ length: 16 }, (_, index) => ({ temperature: index % 2, seed: index }))
    const alone = []
    for (const [index, row] of rows.entries()) alone.push((await generateAlone(engine, index, row)).tokens)
    const together = await Promise.all(rows.map((row, index) => generateAlone(engine, index, row)))
    expect(together.map(({ tokens }) => tokens)).toEqual(alone)
  })

  test('ascends, decodes and samples on the head alone', async () => {
    const { latents } = await generateAlone(engine, 1)
    const actions = [await engine.head.decode(latents, never())]
    const adam = { m: new Float32Array(3 * 128), v: new Float32Array(3 * 128), step: 0 }
    const options = { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, temperature: 1 }
    const request = { latents, adam, actions, advantages: [-1], ...options }
    const changed = await engine.head.ascend({ ...request, maxSteps: 50, untilChanged: true }, never())
    expect(changed.tokens).not.toEqual(actions[0])
    expect(changed.adam.step).toBe(changed.steps)
    expect(await engine.head.decode(changed.latents, never())).toEqual(changed.tokens)
    // Pushed towards its own tokens, an answer stays.
    const kept = await engine.head.ascend(
      { ...request, advantages: [1], maxSteps: 3, untilChanged: false },
      never(),
    )
    expect(kept).toMatchObject({ steps: 3, tokens: actions[0] })
    const none = await engine.head.ascend({ ...request, maxSteps: 0, untilChanged: true }, never())
    expect(none).toMatchObject({ steps: 0, tokens: actions[0] })

    const draw = (seed: number) => engine.head.sample(latents, { rollouts: 5, temperature: 2, seed }, never())
    const samples = await draw(3)
    expect(samples.map((rollout) => rollout.length)).toEqual([3, 3, 3, 3, 3])
    expect(await draw(3)).toEqual(samples)
    expect(await draw(4)).not.toEqual(samples)
    const read = await engine.head.likelyTokens(latents, 5, never())
    expect(read.map(([first]) => first!.token)).toEqual(actions[0])
    for (const likely of read) {
      const probabilities = likely.map(({ probability }) => probability)
      expect(probabilities).toHaveLength(5)
      expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a))
      expect(probabilities.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(1)
    }
    await expect(engine.head.decode(latents, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('refuses empty prompts and prompts that do not fit', async () => {
    const options = { signal: never() }
    const long = Array.from({ length: 96 }, () => 10)
    await expect(engine.open(long, options)).rejects.toMatchObject({
      code: 'PROMPT_TOO_LONG',
      message: 'open session: expected a prompt of 1 to 95 tokens, got 96',
    })
    await expect(engine.open([], options)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    await expect(engine.open([1, 64], options)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    const fits = await engine.open(long.slice(1), options)
    await expect(fits.generate([{ ...greedy, prefix: [-1] }])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    })
    await expect(fits.score([{ sequence: fits.prompt, suffix: [] }], [64])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: 'score: expected token ids in [0, 64), got 64',
    })
    expect(await fits.score([], [7])).toEqual([])
    expect(await fits.generate([])).toEqual([])
    const [answer] = await fits.generate([greedy])
    expect(answer).toMatchObject({ generatedTokens: 1 })
    fits.close()
  })

  test('stops when the caller aborts: rejects at once, drops the rows, frees the caches', async () => {
    await soon(() => expect(engine.status().cachedSequences).toBe(engine.status().keptPrompts))
    const { keptPrompts, cacheBytes } = engine.status()
    const caller = new AbortController()
    const session = await engine.open(prompt(2), { signal: caller.signal })
    const work = session.generate(busy())
    const outcome = expect(work).rejects.toMatchObject({ code: 'ABORTED' })
    await soon(() => expect(engine.status().runningRows).toBe(32))
    expect(engine.status()).toMatchObject({ waitingRows: 120 - 32, sessions: 1, waitingSessions: 0 })
    expect(engine.status().cacheBytes).toBeGreaterThan(cacheBytes)
    const abortedAt = performance.now()
    caller.abort()
    await outcome
    expect(performance.now() - abortedAt).toBeLessThan(20)
    await soon(() =>
      expect(engine.status()).toMatchObject({
        sessions: 0,
        runningRows: 0,
        waitingRows: 0,
        cachedSequences: keptPrompts,
        cacheBytes,
      }),
    )
    await expect(engine.open(prompt(2), { signal: caller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('answers an interactive session while a background session has hundreds of rows left', async () => {
    const background = await engine.open(prompt(6), { signal: never(), priority: 'background' })
    let isDone = false
    const work = background.generate(busy(400)).finally(() => {
      isDone = true
    })
    const outcome = expect(work).rejects.toMatchObject({ code: 'ABORTED' })
    await soon(() => expect(engine.status().runningRows).toBeGreaterThan(0))
    expect(engine.status().waitingRows).toBeGreaterThan(256)
    // More rows wait than allowed, but background rows keep no interactive session out.
    await expect(engine.open(prompt(7), { signal: never(), priority: 'background' })).rejects.toMatchObject({
      code: 'ENGINE_OVERLOADED',
    })
    const session = await engine.open(prompt(7), { signal: never(), deadlineMs: 1000 })
    expect(await session.generate([greedy])).toHaveLength(1)
    expect(isDone).toBe(false)
    session.close()
    background.close()
    await outcome
  })

  test('does not block the event loop of this process', async () => {
    const session = await engine.open(prompt(3), { signal: never() })
    const work = session.generate(busy())
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    await work
    delay.disable()
    session.close()
    expect(delay.count).toBeGreaterThan(5)
    expect(delay.percentile(99) / 1e6).toBeLessThan(50)
  })

  test('survives the death of its process: calls in flight fail, the next call works', async () => {
    const before = await generateAlone(engine, 4)
    const session = await engine.open(prompt(4), { signal: never() })
    const work = session.generate(busy())
    const outcome = expect(work).rejects.toMatchObject({ code: 'ENGINE_CRASHED_BY_REQUEST' })
    // More than one: the row that ran alone may still be in the last report.
    await soon(() => expect(engine.status().runningRows).toBeGreaterThan(1))
    const { pid, restarts, totals } = engine.status()
    expect(totals.decodeTokens).toBeGreaterThanOrEqual(before.generatedTokens)
    process.kill(pid!, 'SIGKILL')
    await outcome
    expect(engine.status().totals.decodeTokens).toBeGreaterThanOrEqual(totals.decodeTokens)
    expect(engine.status()).toMatchObject({ state: 'restarting', pid: null, waitingRows: 0, runningRows: 0 })
    // A session lived in the dead process; a new one waits for the next process.
    await expect(session.embed()).rejects.toMatchObject({ code: 'ENGINE_CRASHED_BY_REQUEST' })
    session.close()
    const atDeath = engine.status().totals
    const next = generateAlone(engine, 4)
    expect(engine.status()).toMatchObject({ waitingSessions: 1, sessions: 0 })
    expect(await next).toMatchObject({ tokens: before.tokens })
    await soon(() => {
      expect(engine.status().totals.decodeTokens).toBe(atDeath.decodeTokens + before.generatedTokens)
    })
    expect(engine.status()).toMatchObject({ state: 'ready', restarts: restarts + 1, sessions: 0 })
    expect(engine.status().pid).not.toBe(pid)
  })

  test('ignores signals to the service: a terminal sends Ctrl-C to both', async () => {
    const { pid } = engine.status()
    process.kill(pid!, 'SIGINT')
    process.kill(pid!, 'SIGTERM')
    await generateAlone(engine, 5)
    expect(engine.status()).toMatchObject({ pid, state: 'ready' })
  })
})

suite('the bundled model', () => {
  interface Golden {
    readonly prompts: readonly {
      readonly inputIds: readonly number[]
      readonly greedy: readonly number[]
      readonly lastState: readonly number[]
      readonly verdict: { readonly true: number; readonly false: number }
    }[]
    readonly ascent: readonly {
      readonly z0: readonly (readonly number[])[]
      readonly z3: readonly (readonly number[])[]
      readonly tokens: readonly number[]
      readonly reward: number
      readonly lr: number
      readonly betas: readonly [number, number]
      readonly epsilon: number
      readonly temperature: number
    }[]
  }

  test('gives the results of PyTorch: states, greedy tokens, verdicts, Adam', async () => {
    const golden: Golden = JSON.parse(await readFile('test/fixtures/golden/order-of-operations.json', 'utf8'))
    const bundled = await start({ directory: 'models/order-of-operations' })
    const { codec, hiddenSize, eosTokenIds } = bundled
    const verdictTokens = [...codec.encode('true'), ...codec.encode('false')]
    for (const expected of golden.prompts) {
      const session = await bundled.open(expected.inputIds, { signal: never() })
      const state = await session.embed()
      expected.lastState.forEach((x, d) => {
        expect(state[d]).toBeCloseTo(x, 4)
      })
      const [answer] = await session.generate([{ ...greedy, maxNewTokens: 48 }])
      expect(answer!.tokens).toEqual(expected.greedy)
      expect(answer!.finish).toBe(eosTokenIds.includes(expected.greedy.at(-1)!) ? 'eos' : 'length')
      const rows = [{ sequence: answer!.sequence, suffix: codec.encode(' check') }]
      const [verdict] = await session.score(rows, verdictTokens)
      expect(verdict![0]).toBeCloseTo(expected.verdict.true, 3)
      expect(verdict![1]).toBeCloseTo(expected.verdict.false, 3)
      session.close()
    }
    for (const { z0, z3, tokens, reward, lr, betas, epsilon, temperature } of golden.ascent) {
      const data = Float32Array.from(z0.flat())
      const { latents } = await bundled.head.ascend(
        {
          latents: { data, length: z0.length, width: hiddenSize },
          adam: { m: new Float32Array(data.length), v: new Float32Array(data.length), step: 0 },
          actions: [tokens],
          advantages: [reward],
          maxSteps: 3,
          untilChanged: false,
          lr,
          beta1: betas[0],
          beta2: betas[1],
          epsilon,
          temperature,
        },
        never(),
      )
      // Where a gradient is almost 0, Adam turns rounding into whole steps: compare the mean, not the worst
      // case.
      const expected = z3.flat()
      const distance = expected.reduce((sum, x, index) => sum + Math.abs(x - latents.data[index]!), 0)
      expect(distance / expected.length).toBeLessThan(1e-3)
    }
    await bundled.close()
  })
})

suite('admission', () => {
  test('refuses new sessions while too many rows wait, never the rows of open ones', async () => {
    await using small = Object.assign(await start({ maxWaitingRows: 4 }), {
      async [Symbol.asyncDispose]() {
        await small.close()
      },
    })
    const options = { signal: never() }
    const first = await small.open(prompt(0), options)
    const work = first.generate(busy())
    await soon(() => expect(small.status().runningRows).toBe(32))
    const refusal = await small.open(prompt(1), options).catch((thrown: unknown) => thrown)
    expect(refusal).toMatchObject({ code: 'ENGINE_OVERLOADED' })
    expect((refusal as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(await first.embed()).toHaveLength(128)
    first.close()
    await expect(work).rejects.toMatchObject({ code: 'ABORTED' })
    // Sessions without a call count as waiting.
    const fresh = await Promise.all([1, 2, 3, 4].map((index) => small.open(prompt(index), options)))
    await expect(small.open(prompt(5), options)).rejects.toMatchObject({ code: 'ENGINE_OVERLOADED' })
    for (const session of fresh) session.close()
    await expect(generateAlone(small, 5)).resolves.toBeDefined()
  })
})

suite('starting and closing', () => {
  test('waits for calls in flight, then ends the process; later calls are refused', async () => {
    const closing = await start()
    const { pid } = closing.status()
    const session = await closing.open(prompt(0), { signal: never() })
    const work = session.generate([greedy])
    const closed = closing.close()
    await expect(work).resolves.toHaveLength(1)
    await closed
    await closing.close()
    expect(isAlive(pid!)).toBe(false)
    expect(closing.status()).toMatchObject({ state: 'closed', pid: null, restarts: 0 })
    await expect(closing.open(prompt(0), { signal: never() })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    })
  })

  test('auto logs why it serves on the CPU', async () => {
    const auto = await start({ executionProvider: 'auto' })
    const { provider } = auto.status()
    await auto.close()
    const said = lines.findLast(({ msg }) => msg.startsWith(`execution provider ${provider}: `))
    expect(said?.msg).toMatch(
      provider === 'cpu' ? /CUDA (is not installed: no|does not work here:) / : /found/,
    )
  })

  const hasCuda = existsSync('/dev/nvidia0')
  test.skipIf(hasCuda)('cuda fails with an error on a machine without it', async () => {
    const error = await start({ executionProvider: 'cuda' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
    expect((error as Error).message).toMatch(/expected the CUDA execution provider on device 0, got: /)
  })

  test('a graph without a required part is refused with an error that names the part', async () => {
    await using odd = await tinyModelDirectory()
    const graph = createGraph({
      name: 'no decoder',
      inputs: [value('x', 'float32', [1])],
      outputs: [value('y', 'float32', [1])],
      nodes: [{ opType: 'Neg', domain: '', name: 'n', inputs: ['x'], outputs: ['y'], attributes: new Map() }],
    })
    await odd.write('onnx/model.onnx', encodeModel(createModel(graph, { '': 17 })))
    await expect(start({ directory: odd.path })).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' })
  })

  test('while no process can be started, sessions wait briefly and fail with a retry time', async () => {
    await using broken = await tinyModelDirectory()
    const patient = await start({ directory: broken.path })
    const graph = await readFile(`${broken.path}/onnx/model.onnx`)
    await broken.write('onnx/model.onnx', null)
    process.kill(patient.status().pid!, 'SIGKILL')
    await soon(() => expect(patient.status().state).toBe('restarting'))
    const error = await patient.open(prompt(0), { signal: never() }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    expect((error as { retryAfterSeconds: number }).retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(lines.some(({ msg }) => msg === 'engine process did not start, trying again')).toBe(true)
    await broken.write('onnx/model.onnx', graph)
    await vi.waitFor(() => expect(patient.status().state).toBe('ready'), { timeout: 20_000 })
    expect(await generateAlone(patient, 0)).toMatchObject({ finish: expect.any(String) })
    await patient.close()
  })

  test('the process ends with its parent, even when that is killed', async () => {
    const parent = spawn(process.execPath, [PARENT, model.path])
    const [line] = await Promise.race([
      parent.stdout.take(1).toArray(),
      setTimeout(20_000, undefined, { ref: false }).then(() => {
        throw new Error('the parent did not start an engine')
      }),
    ])
    const pid = Number(String(line))
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await soon(() => expect(isAlive(pid)).toBe(false))
  })
})
