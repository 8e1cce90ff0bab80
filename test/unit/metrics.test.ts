import { setTimeout } from 'node:timers/promises'
import { afterEach, expect, suite, test } from 'vitest'
import type { Engine, EngineStatus } from '#engine'
import { ServiceError } from '#errors'
import { createMetrics } from '#metrics'
import { noBacklog, noPool, noTrainedModels, parseExposition, total } from '../support/exposition.ts'
import { listen, QUESTION, SOLUTION, scriptedSolver, testApp } from '../support/http-app.ts'
import { exchange } from '../support/raw-http.ts'
import { REQUEST, solverOn, TWO_FLIPS } from '../support/solve-in-memory.ts'

const never = { signal: new AbortController().signal }

function metricsOf(engine: Pick<Engine, 'model' | 'status'> = solverOn(TWO_FLIPS).engine) {
  const metrics = createMetrics({
    engine,
    trainedModels: noTrainedModels,
    pool: noPool,
    readBacklog: noBacklog,
  })
  const read = async () => parseExposition((await metrics.expose()).text)
  return { ...metrics, read }
}

suite('solves', () => {
  test('records the result and the cost of a solve', async () => {
    const { engine, solver } = solverOn(TWO_FLIPS)
    const { watch, read } = metricsOf(engine)
    const solution = await watch(solver).solve(REQUEST, never)
    expect(solution).toMatchObject({ improved: true, iterations: 11, stopped: 'reward' })

    const metrics = await read()
    const { usage, timings, evaluations } = solution
    const values: [string, Record<string, string>, number][] = [
      ['request_success_total', { strategy: 'latentseek', stopped: 'reward' }, 1],
      ['request_success_total', {}, 1],
      ['request_failure_total', {}, 0],
      ['request_improved_total', { strategy: 'latentseek' }, 1],
      ['prompt_tokens_total', {}, usage.promptTokens],
      ['generation_tokens_total', {}, usage.generatedTokens],
      ['reward_tokens_total', {}, usage.rewardTokens],
      ['e2e_request_latency_seconds_count', { strategy: 'latentseek' }, 1],
      ['e2e_request_latency_seconds_sum', {}, timings.totalMs / 1000],
      ['request_queue_time_seconds_sum', {}, timings.queueMs / 1000],
      ['request_phase_time_seconds_sum', { phase: 'draft' }, timings.draftMs / 1000],
      ['request_phase_time_seconds_sum', { phase: 'optimize' }, timings.optimizeMs / 1000],
      ['step_time_seconds_sum', {}, timings.optimizeMs / 11 / 1000],
      ['optimizer_steps_sum', { strategy: 'latentseek' }, 11],
      ['optimizer_steps_bucket', { le: '8' }, 0],
      ['optimizer_steps_bucket', { le: '16' }, 1],
      ['evaluations_sum', { strategy: 'latentseek' }, evaluations],
      ['episodes_retrieved_bucket', { le: '0' }, 1],
    ]
    for (const [name, labels, value] of values) {
      expect(total(metrics, `circadian:${name}`, labels), name).toBeCloseTo(value, 9)
    }
    expect(usage.generatedTokens).toBeGreaterThan(0)
  })

  test('counts unavailable parts, and times no step of a greedy answer', async () => {
    const { watch, read } = metricsOf()
    const { solver } = scriptedSolver(async () => ({
      ...SOLUTION,
      iterations: 0,
      degraded: ['lrm', 'learning'],
    }))
    await watch(solver).solve(REQUEST, never)
    const metrics = await read()
    expect(total(metrics, 'circadian:request_degraded_total', { missing: 'learning' })).toBe(1)
    expect(total(metrics, 'circadian:request_degraded_total')).toBe(2)
    expect(total(metrics, 'circadian:step_time_seconds_count')).toBe(0)
  })

  test('counts failures by code and rethrows the error unchanged', async () => {
    const { watch, read } = metricsOf()
    const overloaded = new ServiceError('ENGINE_OVERLOADED', 'full')
    const errors = [
      overloaded,
      overloaded,
      new Error('a bug'),
      Object.assign(new Error(), { code: 'ENOENT' }),
    ]
    const { solver } = scriptedSolver(async () => {
      throw errors.shift()
    })
    const watched = watch(solver)
    await expect(watched.solve(REQUEST, never)).rejects.toBe(overloaded)
    for (let i = 0; i < 3; i++) await expect(watched.solve(REQUEST, never)).rejects.toThrow()
    const metrics = await read()
    expect(total(metrics, 'circadian:request_failure_total', { code: 'ENGINE_OVERLOADED' })).toBe(2)
    expect(total(metrics, 'circadian:request_failure_total', { code: 'INTERNAL' })).toBe(2)
    expect(total(metrics, 'circadian:request_failure_total')).toBe(4)
    expect(total(metrics, 'circadian:request_success_total')).toBe(0)
  })

  test('counts running and waiting requests', async () => {
    const { engine } = solverOn(TWO_FLIPS)
    let waitingSessions = 0
    const status = () => ({ ...engine.status(), waitingSessions })
    const { watch, read } = metricsOf({ ...engine, model: engine.model, status })
    const finish = Promise.withResolvers<void>()
    const { solver } = scriptedSolver(async () => {
      await finish.promise
      return SOLUTION
    })
    const watched = watch(solver)
    const solves = [1, 2, 3].map(() => watched.solve(REQUEST, never))
    const now = async () => {
      const metrics = await read()
      return ['running', 'waiting'].map((what) => total(metrics, `circadian:num_requests_${what}`))
    }
    expect(await now()).toEqual([3, 0])
    waitingSessions = 2
    expect(await now()).toEqual([1, 2])
    finish.resolve()
    await Promise.all(solves)
    expect(await now()).toEqual([0, 0])
  })
})

test('the engine reports its load, its totals and its model', async () => {
  const { engine } = solverOn(TWO_FLIPS)
  const { totals: none, waitingSessions: _, replicas: __, ...replica } = engine.status()
  const status: EngineStatus = {
    ...engine.status(),
    replicas: [
      { ...replica, state: 'unhealthy' },
      { ...replica, state: 'ready' },
      { ...replica, state: 'ready' },
    ],
    restarts: 3,
    runningRows: 5,
    waitingRows: 7,
    cachedSequences: 11,
    cacheBytes: 4096,
    keptPrompts: 13,
    heartbeatAgeMs: 1500,
    totals: {
      ...none,
      prefillTokens: 100,
      decodeTokens: 200,
      prefixHits: 17,
      prefixTokensReused: 190,
      generationMs: 1500,
      headMs: 250,
      outOfMemoryRuns: 6,
      batchRows: { counts: [4, 0, 3, 0, 0, 0, 0, 1], sum: 4 + 9 + 80 },
      queueMs: { counts: [2, ...Array<number>(14).fill(0), 1], sum: 90_001 },
    },
  }
  const metrics = await metricsOf({ model: engine.model, status: () => status }).read()
  const values = {
    engine_replicas: 3,
    engine_replicas_ready: 2,
    engine_replicas_unhealthy: 1,
    engine_heartbeat_age_seconds: 1.5,
    engine_restarts_total: 3,
    num_rows_running: 5,
    num_rows_waiting: 7,
    kv_cached_sequences: 11,
    kv_cache_usage_bytes: 4096,
    kv_kept_prompts: 13,
    prefix_cache_hits_total: 17,
    prefix_cache_tokens_total: 190,
    prefill_tokens_total: 100,
    decode_tokens_total: 200,
    generation_run_seconds_total: 1.5,
    head_run_seconds_total: 0.25,
    engine_out_of_memory_total: 6,
    batch_rows_sum: 93,
    batch_rows_count: 8,
    row_queue_time_seconds_sum: 90.001,
    row_queue_time_seconds_count: 3,
  }
  for (const [name, value] of Object.entries(values))
    expect(total(metrics, `circadian:${name}`), name).toBe(value)
  const bucket = (le: string) => total(metrics, 'circadian:batch_rows_bucket', { le })
  expect(['1', '2', '4', '64', '+Inf'].map(bucket)).toEqual([4, 4, 7, 7, 8])
  const queued = (le: string) => total(metrics, 'circadian:row_queue_time_seconds_bucket', { le })
  expect(['0.001', '60', '+Inf'].map(queued)).toEqual([2, 2, 3])
  expect(metrics.get('circadian:engine_info')?.samples).toEqual([
    expect.objectContaining({
      value: 1,
      labels: { provider: 'cpu', fingerprint: engine.model.fingerprint, model_name: engine.model.id },
    }),
  ])
})

test('every series has the model; process metrics include CPU, memory and event loop', async () => {
  const { engine } = solverOn(TWO_FLIPS)
  const metrics = await metricsOf(engine).read()
  for (const [name, { samples }] of metrics) {
    for (const { labels } of samples) expect(labels, name).toMatchObject({ model_name: engine.model.id })
  }
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
  ]) {
    expect(metrics.get(name)?.samples.length, name).toBe(1)
  }
})

suite('HTTP', () => {
  const apps: ReturnType<typeof testApp>[] = []
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()))
  })
  function serve(deps: Parameters<typeof testApp>[0] = {}) {
    const { expose, observeRequest, read } = metricsOf()
    const app = testApp({ ...deps, metrics: expose, observeRequest })
    apps.push(app)
    const count = async (labels: Record<string, string> = {}) =>
      total(await read(), 'circadian:http_request_duration_seconds_count', labels)
    return { app, read, count }
  }

  test('GET /metrics answers in the text format regardless of Accept', async () => {
    const { app } = serve()
    for (const accept of [
      undefined,
      'text/plain;version=0.0.4, */*',
      'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5',
      'application/json',
    ]) {
      const headers = accept === undefined ? {} : { accept }
      const response = await app.inject({ url: '/metrics', headers })
      expect(response.statusCode).toBe(200)
      expect(response.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(parseExposition(response.body).size).toBeGreaterThan(20)
    }
  })

  test('requests are counted by route pattern, method and status', async () => {
    const { app, count } = serve()
    await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
    await app.inject({ method: 'POST', url: '/solve', payload: {} })
    await app.inject('/episodes/one')
    await app.inject('/episodes/two?x=y')
    await expect.poll(() => count()).toBe(4)
    expect(await count({ route: '/solve', method: 'POST', status: '200' })).toBe(1)
    expect(await count({ route: '/solve', status: '400' })).toBe(1)
    expect(await count({ route: '/episodes/:id', status: '404' })).toBe(2)
  })

  test('paths and methods that callers make up do not become series', async () => {
    const { app, read, count } = serve()
    for (let i = 0; i < 50; i++) {
      await app.inject(`/nothing/${i}`)
      await app.inject({ method: i % 2 ? 'DELETE' : 'OPTIONS', url: `/solve?${i}` })
      await app.inject(`/episodes/${i}`)
      await app.inject(`/docs/static/${i}`)
    }
    await expect.poll(() => count()).toBe(200)
    const { samples } = (await read()).get('circadian:http_request_duration_seconds')!
    const counted = samples.filter(({ name }) => name.endsWith('_count'))
    expect(counted.map(({ labels: { model_name: _, ...labels }, value }) => ({ ...labels, value }))).toEqual([
      { method: 'any', route: 'unmatched', status: '404', value: 50 },
      { method: 'any', route: 'unmatched', status: '405', value: 50 },
      { method: 'GET', route: '/episodes/:id', status: '404', value: 50 },
      { method: 'GET', route: '/docs/static/*', status: '404', value: 50 },
    ])
  })

  test('a disconnect is counted as 499, a stream when it has ended', async () => {
    const { solver } = scriptedSolver(async (_request, { signal, onEvent }) => {
      onEvent?.({ event: 'retrieval', data: { retrieved: [] } })
      await setTimeout(200, undefined, { signal }).catch(() => {
        throw new ServiceError('ABORTED', 'gone')
      })
      return SOLUTION
    })
    const { app, count } = serve({ solver })
    const { port } = await listen(app)
    const body = JSON.stringify({ question: QUESTION })
    const ask = (accept: string, timeoutMs: number) =>
      exchange(
        port,
        `POST /solve HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: ${accept}\r\n` +
          `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        timeoutMs,
      )
    await ask('text/event-stream', 5_000)
    await expect.poll(() => count({ route: '/solve', status: '200' })).toBe(1)
    for (const accept of ['application/json', 'text/event-stream']) await ask(accept, 100)
    await expect.poll(() => count({ route: '/solve', status: '499' })).toBe(2)
    expect(await count({ route: '/solve' })).toBe(3)
  })
})

test('shows the connections of the database pool at the time of the scrape', async () => {
  const { engine } = solverOn(TWO_FLIPS)
  const pool = { totalCount: 0, idleCount: 0, waitingCount: 0 }
  const { expose } = createMetrics({ engine, trainedModels: noTrainedModels, pool, readBacklog: noBacklog })
  const counts = async () => {
    const metrics = parseExposition((await expose()).text)
    return ['in_use', 'idle', 'waiting'].map((state) => total(metrics, 'circadian:database_pool', { state }))
  }
  expect(await counts()).toEqual([0, 0, 0])
  Object.assign(pool, { totalCount: 10, idleCount: 3, waitingCount: 4 })
  expect(await counts()).toEqual([7, 3, 4])
})
