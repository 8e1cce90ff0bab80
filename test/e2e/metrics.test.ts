import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createEngine } from '#engine'
import { createMetrics } from '#metrics'
import { tinyModelDirectory } from '../fixtures/tiny-model-directory.ts'
import {
  type Family,
  noBacklog,
  noPool,
  noTrainedModels,
  parseExposition,
  total,
} from '../support/exposition.ts'

/** What must never fall: counters, and everything of a histogram. */
function growing(families: ReadonlyMap<string, Family>): Map<string, number> {
  const samples = [...families.values()]
    .filter(({ type }) => type === 'counter' || type === 'histogram')
    .flatMap((family) => family.samples)
  return new Map(samples.map(({ name, labels, value }) => [name + JSON.stringify(labels), value]))
}

test('counters and histograms never fall, also when the engine process dies', async () => {
  const model = await tinyModelDirectory()
  onTestFinished(() => model[Symbol.asyncDispose]())
  const engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger: pino({ level: 'silent' }),
  })
  onTestFinished(() => engine.close())
  const metrics = createMetrics({
    engine,
    trainedModels: noTrainedModels,
    pool: noPool,
    readBacklog: noBacklog,
  })
  const read = async () => parseExposition((await metrics.expose()).text)
  const decoded = async () => total(await read(), 'circadian:decode_tokens_total')

  let sum = 0
  async function generate(): Promise<void> {
    const session = await engine.open([1, 4, 10, 11, 5], { signal: new AbortController().signal })
    const row = { prefix: [], temperature: 2, maxNewTokens: 24, latents: 0 }
    const answers = await session.generate([1, 2, 3].map((seed) => ({ ...row, seed })))
    session.close()
    sum += answers.reduce((tokens, { generatedTokens }) => tokens + generatedTokens, 0)
    await expect.poll(decoded).toBe(sum)
  }

  await generate()
  const before = await read()
  for (const name of ['prefill_tokens_total', 'generation_run_seconds_total', 'batch_rows_count']) {
    expect(total(before, `circadian:${name}`), name).toBeGreaterThan(0)
  }
  expect(total(before, 'circadian:row_queue_time_seconds_count')).toBeGreaterThanOrEqual(3)

  process.kill(engine.status().pid!, 'SIGKILL')
  await vi.waitFor(() => expect(engine.status().state).toBe('restarting'))
  const dead = await read()
  expect(total(dead, 'circadian:engine_replicas')).toBe(1)
  expect(total(dead, 'circadian:engine_replicas_ready')).toBe(0)
  expect(total(dead, 'circadian:decode_tokens_total')).toBe(sum)

  await generate()
  const after = await read()
  expect(total(after, 'circadian:engine_replicas_ready')).toBe(1)
  expect(total(after, 'circadian:engine_restarts_total')).toBe(1)
  for (const later of [dead, after]) {
    const now = growing(later)
    for (const [series, value] of growing(before)) {
      expect(now.get(series), series).toBeGreaterThanOrEqual(value)
    }
  }
})
