/**
 * @file Memory of an engine process on a real model: many samples of a long question within a budget, and a soak of
 * mixed requests.
 *
 * `npm run bench:memory -- --model DIR [--parts samples,soak] [--memory 8589934592] [--samples 64] [--question 4500]
 * [--tokens 64] [--requests 500] [--json FILE]`. Linux only: reads /proc.
 */

import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { createEngine, type Engine } from '#engine'
import { coerceError, hasCode } from '#errors'
import { concurrently, describeMachine } from '#evaluation'
import { createRandom, type Random } from '#tensor'
import { type Measurement, writeRecords } from './report/records.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/order-of-operations' },
    parts: { type: 'string', default: 'samples,soak' },
    memory: { type: 'string', default: String(2 ** 33) },
    samples: { type: 'string', default: '64' },
    question: { type: 'string', default: '4500' },
    tokens: { type: 'string', default: '64' },
    requests: { type: 'string', default: '500' },
    longest: { type: 'string', default: '4000' },
    seed: { type: 'string', default: '67' },
    json: { type: 'string' },
  },
})
const LANES = 4
/** Share of requests whose caller gives up. */
const GIVE_UP_SHARE = 0.1
const SHORTEST_PROMPT = 10
const MAX_SAMPLES = 4
const seed = Number(values.seed)
const machine = describeMachine()
const measured: Measurement[] = []
const parts = values.parts.split(',')
console.log(`# Memory of the engine\n\n${JSON.stringify(machine)}`)
if (parts.includes('samples')) await within((engine) => manySamples(engine))
if (parts.includes('soak')) await within((engine) => soak(engine))
if (values.json !== undefined)
  await writeRecords(values.json, { bench: 'memory', machine, seeds: [seed] }, measured)

/** Starts an engine of its own for one part. */
async function within(part: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = await createEngine({
    directory: values.model,
    executionProvider: 'cpu',
    cudaDevice: 0,
    memoryBytes: Number(values.memory),
    maxWaitingRows: 1024,
    // A busy machine must not end the measurement.
    heartbeatLimitMs: 600_000,
    logger: pino({ level: 'warn' }),
  })
  try {
    await part(engine)
  } finally {
    await engine.close()
  }
}

/** Resident memory of the engine process in MiB, now and at most so far; NaN while it is restarted. */
function resident(engine: Engine): { readonly now: number; readonly peak: number } {
  const { pid } = engine.status()
  if (pid === null) return { now: Number.NaN, peak: Number.NaN }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name: string) =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024)
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

function promptOf(random: Random, engine: Engine, length: number): number[] {
  // Ids of ordinary tokens: control tokens are the last ones of a vocabulary, or its first few.
  const [first, last] = engine.contextLength > 1000 ? [1000, 20_000] : [6, 60]
  return Array.from({ length }, () => first + Math.floor((last - first) * random.uniform()))
}

/** Asks for many samples of one long prompt, which must be answered or refused. */
async function manySamples(engine: Engine): Promise<void> {
  const random = createRandom(seed)
  const loaded = resident(engine)
  const { pid } = engine.status()
  const { signal } = new AbortController()
  const session = await engine.open(promptOf(random, engine, Number(values.question)), { signal })
  const startedAt = performance.now()
  const sampled = Array.from({ length: Number(values.samples) }, (_, index) => ({
    prefix: [],
    temperature: 1,
    seed: index,
    maxNewTokens: Number(values.tokens),
    latents: 0,
  }))
  let outcome: string
  try {
    const answers = await session.generate(sampled)
    outcome = `${answers.length} answers of ${answers.reduce((sum, { tokens }) => sum + tokens.length, 0)} tokens`
  } catch (thrown) {
    outcome = coerceError(thrown).message
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const { peak } = resident(engine)
  const isAlive = engine.status().pid === pid
  const { batchRows, outOfMemoryRuns } = engine.status().totals
  const figures = {
    samples: sampled.length,
    'prompt tokens': Number(values.question),
    'tokens of an answer': Number(values.tokens),
    'budget MiB': Math.round(Number(values.memory) / 2 ** 20),
    'loaded MiB': loaded.now,
    'peak while loading MiB': loaded.peak,
    'peak MiB': peak,
    'runs out of memory': outOfMemoryRuns,
    seconds,
    outcome,
    'process alive': String(isAlive),
  }
  printTable('Samples of a long question', ['measure', 'value'], Object.entries(figures))
  console.log(`rows of a run, by buckets: ${batchRows.counts.join(' ')}`)
  measured.push({ part: 'samples', case: {}, n: sampled.length, figures })
  session.close()
}

/** Sends mixed requests: prompts of 10 to 4,000 tokens, samples, verdicts, ascent; some callers give up. */
async function soak(engine: Engine): Promise<void> {
  const random = createRandom(seed)
  const requests = Number(values.requests)
  const longest = Math.min(Number(values.longest), engine.contextLength - Number(values.tokens) - 8)
  const { pid } = engine.status()
  const outcomes: Record<string, number> = {}
  const weights: { readonly requests: number; readonly now: number; readonly peak: number }[] = []
  const every = Math.max(1, Math.round(requests / 25))
  let done = 0
  weights.push({ requests: 0, ...resident(engine) })

  async function ask(prompt: readonly number[], index: number, giveUpMs: number | null): Promise<string> {
    const controller = new AbortController()
    if (giveUpMs !== null) void setTimeout(giveUpMs).then(() => controller.abort())
    const { signal } = controller
    try {
      const session = await engine.open(prompt, { signal, caller: `caller ${index % 3}` })
      try {
        await session.embed()
        const answers = await session.generate(
          Array.from({ length: 1 + (index % MAX_SAMPLES) }, (_, row) => ({
            prefix: [],
            temperature: row === 0 ? 0 : 1,
            seed: index * MAX_SAMPLES + row,
            maxNewTokens: 4 + (index % Number(values.tokens)),
            latents: 4,
            thought: index % 2 === 0,
          })),
        )
        await session.score(
          answers.map(({ sequence }) => ({ sequence, suffix: prompt.slice(0, 6) })),
          [7, 8],
        )
        if (index % 5 === 0) await ascendOnce(engine, answers[0]!, signal)
        return 'answered'
      } finally {
        session.close()
      }
    } catch (thrown) {
      if (signal.aborted) return 'given up'
      for (const code of ['MEMORY_EXCEEDED', 'ENGINE_OVERLOADED'] as const)
        if (hasCode(thrown, code)) return code
      console.error(coerceError(thrown))
      return 'failed'
    }
  }

  const prompts = Array.from({ length: requests }, () =>
    promptOf(random, engine, Math.round(SHORTEST_PROMPT * (longest / SHORTEST_PROMPT) ** random.uniform())),
  )
  const giveUps = prompts.map(() => (random.uniform() < GIVE_UP_SHARE ? 5000 * random.uniform() : null))
  const startedAt = performance.now()
  await concurrently(prompts, LANES, async (prompt, index) => {
    const outcome = await ask(prompt, index, giveUps[index]!)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    done += 1
    if (done % every !== 0) return
    const weight = { requests: done, ...resident(engine) }
    weights.push(weight)
    const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
    console.log(`${done} requests, ${minutes} min: ${weight.now} MiB now, ${weight.peak} MiB at most`)
  })
  weights.push({ requests, ...resident(engine) })
  // The first fifth fills the caches that are kept.
  const settled = weights.filter((weight) => weight.requests >= requests / 5)
  const growth = slopeOf(
    settled.map((weight) => weight.requests),
    settled.map((weight) => weight.now),
  )
  const figures = {
    ...outcomes,
    restarts: engine.status().restarts,
    'process alive': String(engine.status().pid === pid),
    'loaded MiB': weights[0]!.now,
    'after a fifth MiB': settled[0]!.now,
    'at the end MiB': weights.at(-1)!.now,
    'peak MiB': weights.at(-1)!.peak,
    'kept caches MiB': Math.round(engine.status().cacheBytes / 2 ** 20),
    'growth, MiB per 100 requests': 100 * growth,
    'runs out of memory': engine.status().totals.outOfMemoryRuns,
    minutes: (performance.now() - startedAt) / 60_000,
  }
  printTable(
    `Soak: ${requests} requests of ${SHORTEST_PROMPT} to ${longest} tokens, ${LANES} at once`,
    ['measure', 'value'],
    Object.entries(figures),
  )
  measured.push({ part: 'soak', case: {}, n: requests, figures: { ...figures, weights } })
}

async function ascendOnce(
  engine: Engine,
  { latents, tokens }: Awaited<ReturnType<Awaited<ReturnType<Engine['open']>>['generate']>>[number],
  signal: AbortSignal,
): Promise<void> {
  if (latents.length === 0) return
  const size = latents.data.length
  const request = {
    latents,
    adam: { m: new Float32Array(size), v: new Float32Array(size), step: 0 },
    actions: [tokens.slice(0, latents.length)],
    advantages: [-1],
    maxSteps: 2,
    untilChanged: true,
    lr: 0.03,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    temperature: 1,
  }
  await engine.head.ascend(request, signal)
  await engine.head.sample(latents, { rollouts: 2, temperature: 1, seed: 1 }, signal)
}

/** Slope of the least-squares line. */
function slopeOf(x: readonly number[], y: readonly number[]): number {
  const middle = (numbers: readonly number[]) =>
    numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  const [mx, my] = [middle(x), middle(y)]
  const covariance = x.reduce((sum, number, index) => sum + (number - mx) * ((y[index] ?? my) - my), 0)
  return covariance / x.reduce((sum, number) => sum + (number - mx) ** 2, 0)
}
