/** @file Runs aim at a duration: decoding, feeding of long prompts, and the wait of a short request. */

import { expect, suite, test } from 'vitest'
import { LIMITS } from '../../../src/engine/child/serve.ts'
import { type RunCosts, type TimedScheduler, timedScheduler } from '../../support/timed-runner.ts'

/** About the costs of an int4 model of half a billion weights on two cores. */
const ON_CPU: RunCosts = { run: 4, perToken: 3, perStep: (rows) => 20 + 5 * rows }
/** A model of 7 billion weights on a GPU, whose caches are copied around each run. */
const ON_CUDA: RunCosts = { run: 40, perToken: 0.1, perStep: (rows) => 12 + 0.1 * rows }

/** Aim of a run of each provider: the least number of steps that reaches it, or a piece of a prompt that fits. */
const RUN_MS = 100

function p95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(0.95 * values.length) - 1]!
}

/** Submits `count` rows that decode until the test ends. */
function decodeLong({ submit }: TimedScheduler, count: number, signal: AbortSignal) {
  for (let index = 0; index < count; index++) {
    submit({ cached: 200 + index, maxNewTokens: 100_000, signal }).done.catch(() => {})
  }
}

async function untilRuns({ runs }: TimedScheduler, count: number): Promise<void> {
  while (runs.length < count) await new Promise(setImmediate)
}

suite.each([
  { provider: 'cpu', costs: ON_CPU, rowCounts: [1, 32] },
  { provider: 'cuda', costs: ON_CUDA, rowCounts: [1, 64] },
] as const)('on $provider', ({ provider, costs, rowCounts }) => {
  test.each(rowCounts)('a run of %d decoding rows takes about 100 ms', async (rows) => {
    const engine = timedScheduler(costs, LIMITS[provider])
    const stop = new AbortController()
    decodeLong(engine, rows, stop.signal)
    await untilRuns(engine, 12)
    stop.abort()
    const later = engine.runs.slice(4)
    const step = costs.perStep(rows)
    const longest = Math.max(RUN_MS + step, costs.run + 16 * step * Number(provider === 'cuda'))
    for (const { ms } of later) {
      expect(ms).toBeLessThanOrEqual(longest)
      expect(ms).toBeGreaterThan(0.6 * RUN_MS)
    }
  })

  test('a prompt of 4,000 tokens is fed in pieces of about 100 ms', async () => {
    const engine = timedScheduler(costs, LIMITS[provider])
    const { minInputTokens } = LIMITS[provider]
    await engine.submit({ prompt: 4000 }).done
    const longest = Math.max(RUN_MS, costs.run + minInputTokens! * costs.perToken)
    for (const { ms } of engine.runs) expect(ms).toBeLessThanOrEqual(longest)
    // Not in smaller pieces than that takes: each has a fixed cost.
    const pieces = engine.runs.slice(2, -1)
    for (const { ms } of pieces) expect(ms).toBeGreaterThan(0.4 * RUN_MS)
  })
})

suite('a short request', () => {
  /** Times to the first token of requests of `prompt` tokens that arrive at all moments while `background` runs. */
  async function firstTokens(background: (engine: TimedScheduler, signal: AbortSignal) => void, prompt = 20) {
    const engine = timedScheduler(ON_CPU, LIMITS.cpu)
    const stop = new AbortController()
    background(engine, stop.signal)
    await untilRuns(engine, 10)
    const times: Promise<number>[] = []
    engine.onRun = (run) => {
      if (run % 7 !== 0 || times.length === 60) return
      // Arrives when the run has just begun: the longest wait.
      const feed = engine.submit({ prompt: prompt - 1 })
      const first = async () => {
        const { ms } = await feed.done
        return ms + (await engine.submit({ cached: prompt - 1, maxNewTokens: 1 }).done).ms
      }
      times.push(first())
    }
    while (times.length < 60) await new Promise(setImmediate)
    const all = await Promise.all(times)
    const decoding = engine.runs.filter(({ inputLength, rows }) => inputLength === 1 && rows > 1)
    stop.abort()
    return { times: all, chunkMs: Math.max(...decoding.map(({ ms }) => ms)), runs: engine.runs }
  }

  test('has its first token within two chunks while 16 long ones decode', async () => {
    const { times, chunkMs } = await firstTokens((engine, signal) => decodeLong(engine, 16, signal))
    expect(p95(times)).toBeLessThanOrEqual(2 * chunkMs)
  })

  test('of two pieces has its first token without a chunk in between', async () => {
    const { times, chunkMs } = await firstTokens((engine, signal) => decodeLong(engine, 16, signal), 60)
    const feedMs = 2 * ON_CPU.run + 59 * ON_CPU.perToken
    expect(p95(times)).toBeLessThanOrEqual(chunkMs + feedMs + ON_CPU.run + ON_CPU.perStep(1))
  })

  test('has its first token within three chunks while 16 prompts of 4,000 tokens are fed', async () => {
    const { times, chunkMs, runs } = await firstTokens((engine, signal) => {
      decodeLong(engine, 4, signal)
      for (let index = 0; index < 200; index++) {
        engine.submit({ prompt: 4000 + index, signal }).done.catch(() => {})
      }
    })
    expect(p95(times)).toBeLessThanOrEqual(3 * Math.max(RUN_MS, chunkMs))
    // Those that decode go on: every other turn is theirs.
    const decoding = runs.filter(({ rows, inputLength }) => rows === 4 && inputLength === 1)
    expect(decoding.length).toBeGreaterThan(runs.length / 5)
  })
})

test('any number of short requests leave long ones about a quarter of the time', async () => {
  const engine = timedScheduler(ON_CPU, LIMITS.cpu)
  const long = engine.submit({ cached: 50, maxNewTokens: 40 })
  const stop = new AbortController()
  const flood = () => {
    engine.submit({ prompt: 30, signal: stop.signal }).done.then(flood, () => {})
  }
  for (let index = 0; index < 8; index++) flood()
  const { tokens, ms } = await long.done
  stop.abort()
  expect(tokens).toHaveLength(40)
  // Alone, in chunks of three tokens, it takes 14 x 79 ms; before each chunk are three runs of 94 ms.
  expect(ms).toBeLessThan(14 * (79 + 3 * 94) * 1.1)
})

test('a row whose prompt is being fed leaves when the piece in progress ends', async () => {
  const engine = timedScheduler(ON_CPU, LIMITS.cpu)
  const stop = new AbortController()
  const { done } = engine.submit({ prompt: 4000, signal: stop.signal })
  engine.onRun = (run) => {
    if (run === 5) stop.abort()
  }
  await expect(done).rejects.toMatchObject({ code: 'ABORTED' })
  expect(engine.runs).toHaveLength(6)
  expect(engine.scheduler.load()).toMatchObject({ runningRows: 0, waitingRows: 0 })
})

suite('a caller beside one with a crowd', () => {
  /** About the costs of the bundled model on two cores. */
  const SMALL: RunCosts = { run: 1.2, perToken: 0.02, perStep: (rows) => 0.1 + 0.15 * rows }

  /** Keeps 128 rows of another caller waiting or running until the test ends. */
  function crowd(engine: TimedScheduler, signal: AbortSignal) {
    const ask = () => {
      engine.submit({ prompt: 18, maxNewTokens: 40, signal, caller: 'crowd' }).done.then(ask, () => {})
    }
    for (let index = 0; index < 128; index++) ask()
  }

  /** The time of a request: its answer, then its verdict. */
  async function request({ submit }: TimedScheduler): Promise<number> {
    const answer = await submit({ prompt: 17, maxNewTokens: 32, caller: 'polite' }).done
    return answer.ms + (await submit({ cached: 48, prompt: 2, caller: 'polite' }).done).ms
  }

  test('waits for one run of a few milliseconds', async () => {
    const alone = await request(timedScheduler(SMALL, LIMITS.cpu))
    const engine = timedScheduler(SMALL, LIMITS.cpu)
    const stop = new AbortController()
    crowd(engine, stop.signal)
    await untilRuns(engine, 10)
    const times: number[] = []
    for (let asked = 0; asked < 40; asked++) {
      const began = engine.runs.length + 1 + (asked % 3)
      const answered = Promise.withResolvers<number>()
      // Arrives when a run of the crowd has just begun: the longest wait.
      engine.onRun = (run) => {
        if (run === began) answered.resolve(request(engine))
      }
      times.push(await answered.promise)
    }
    stop.abort()
    // The first finds a run of the usual length in progress: until then the crowd was alone.
    expect(p95(times.slice(1))).toBeLessThan(alone + 8)
  })

  test('leaves the crowd its part while it decodes without end', async () => {
    const engine = timedScheduler(SMALL, LIMITS.cpu)
    const stop = new AbortController()
    const rows = Array.from({ length: 8 }, () =>
      engine
        .submit({ cached: 50, maxNewTokens: 100_000, signal: stop.signal, caller: 'polite' })
        .done.catch(() => {}),
    )
    crowd(engine, stop.signal)
    await untilRuns(engine, 200)
    stop.abort()
    await Promise.all(rows)
    const later = engine.runs.slice(20)
    const sum = (runs: typeof later) => runs.reduce((total, { ms }) => total + ms, 0)
    expect(sum(later.filter(({ rows }) => rows !== 8)) / sum(later)).toBeGreaterThan(0.1)
  })
})
