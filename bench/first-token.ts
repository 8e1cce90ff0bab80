/**
 * @file Bench of the wait of a short request: time to its first token while long answers are decoded or long prompts
 * are fed, beside the duration of a run.
 *
 * `npm run bench:first-token -- [--model DIR] [--long 16] [--requests 60] [--prompt 4000] [--cases
 * nothing,answers,prompts] [--threads N] [--seed 1] [--json FILE]`
 *
 * Sessions and scheduler of an engine process run in this process, with the limits of the CPU. A run blocks the
 * process, so a request counts from the time at which it was due. A short request is a question of about ten
 * characters; a longer one adds the time in which its prompt is fed. Only one model is measured at a time; `--json`
 * replaces its records and keeps those of others.
 */

import { loadavg } from 'node:os'
import { basename, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadModelDirectory } from '#engine'
import { describeMachine } from '#evaluation'
import { createRandom } from '#tensor'
import { makeProblems } from '../models/order-of-operations/problems.ts'
import { loadGraphs } from '../src/engine/child/load-graphs.ts'
import { createScheduler } from '../src/engine/child/scheduler.ts'
import { LIMITS, PREFIXES } from '../src/engine/child/serve.ts'
import { createSessions } from '../src/engine/child/sessions.ts'
import { updateRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/order-of-operations' },
    /** Long answers or prompts at the same time. */
    long: { type: 'string', default: '16' },
    /** Short requests per case. */
    requests: { type: 'string', default: '60' },
    /** Tokens of a long prompt, or half of the context if that is less. */
    prompt: { type: 'string', default: '4000' },
    cases: { type: 'string', default: 'nothing,answers,prompts' },
    /** Threads inside one operator; one per core unless given. */
    threads: { type: 'string' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
const [long, requests, seed] = [Number(values.long), Number(values.requests), Number(values.seed)]
const cases = values.cases.split(',')
/** Mean pause between two short requests, in chunks: they arrive at random moments, one at a time. */
const GAP_CHUNKS = 4
/** Background runs before the first short request. */
const WARM_UP_RUNS = 20

interface Run {
  readonly ms: number
  /** On the clock of `performance.now()`. */
  readonly endedAt: number
  readonly isBackground: boolean
  readonly isDecoding: boolean
}

interface Wait {
  readonly ms: number
  /** Runs that ended meanwhile, those of the request included, and the run in progress. */
  readonly runs: number
}

const machine = describeMachine()
console.log(`# Time to the first token under load\n\n${JSON.stringify(machine)}`)
const directory = await loadModelDirectory(values.model)
const model = basename(resolve(values.model))
const { contextLength } = directory.sizes
const questions = makeProblems({ split: 'heldout', count: 2000, seed: 41 }).map(({ question }) => question)
const text = directory.codec.encode(questions.join('\n'))
let asked = 0

const { generation, head } = await loadGraphs(
  {
    graphFile: directory.graphFile,
    config: directory.config,
    sizes: directory.sizes,
    executionProvider: 'cpu',
    cudaDevice: 0,
    threads: values.threads === undefined ? null : Number(values.threads),
    replicas: 1,
  },
  'cpu',
)

const rows = []
for (const beside of (['nothing', 'answers', 'prompts'] as const).filter((name) => cases.includes(name))) {
  const { waits, runs, tokensPerSecond } = await measure(beside)
  const firstTokens = waits.map(({ ms }) => ms)
  const background = runs
    .filter(({ isBackground, isDecoding }) => isBackground && isDecoding === (beside === 'answers'))
    .map(({ ms }) => ms)
  const chunkMs = background.length === 0 ? null : quantile(background, 0.5)
  const p95 = quantile(firstTokens, 0.95)
  rows.push({
    beside: { nothing: 'nothing', answers: `${long} answers`, prompts: `${long} prompts` }[beside],
    n: firstTokens.length,
    'first token p50 ms': quantile(firstTokens, 0.5),
    'p95 ms': p95,
    'chunk p50 ms': chunkMs,
    'chunk p95 ms': background.length === 0 ? null : quantile(background, 0.95),
    'p95 in chunks': chunkMs === null ? null : p95 / chunkMs,
    'runs p50': quantile(
      waits.map((wait) => wait.runs),
      0.5,
    ),
    'runs p95': quantile(
      waits.map((wait) => wait.runs),
      0.95,
    ),
    'longest run ms': Math.max(...runs.map(({ ms }) => ms)),
    'long tokens/s': beside === 'nothing' ? null : tokensPerSecond,
    load: loadavg()[0]!,
  })
}
printTable(
  model,
  Object.keys(rows[0]!),
  rows.map((row) => Object.values(row).map((value) => value ?? '')),
)
if (values.json !== undefined) {
  await updateRecords(
    values.json,
    { bench: 'first-token', machine, seeds: [seed] },
    rows.map(({ beside, n, ...figures }) => ({ part: model, case: { beside }, n, figures })),
  )
}
// ONNX Runtime sessions of this process stay open and would keep it alive.
process.exit(0)

async function measure(beside: 'nothing' | 'answers' | 'prompts') {
  const runs: Run[] = []
  const engine = startEngine(runs)
  const stopped = new AbortController()
  const lanes = Array.from({ length: beside === 'nothing' ? 0 : long }, (_, lane) =>
    beside === 'answers' ? engine.decodeUntil(stopped.signal, lane) : engine.feedUntil(stopped.signal, lane),
  )
  while (beside !== 'nothing' && runs.length < WARM_UP_RUNS) await setTimeout(1)
  for (let index = 0; index < 5; index++) await engine.firstToken(performance.now())
  const gapMs =
    GAP_CHUNKS *
    quantile(
      runs.slice(-WARM_UP_RUNS).map(({ ms }) => ms),
      0.5,
    )
  runs.length = 0
  const startedAt = performance.now()
  const before = engine.tokens()

  const random = createRandom(seed)
  const waits: Wait[] = []
  while (waits.length < requests) {
    const dueAt = performance.now() - Math.log(1 - random.uniform()) * gapMs
    await setTimeout(Math.max(0, dueAt - performance.now()))
    waits.push(await engine.firstToken(dueAt))
  }
  const tokensPerSecond = ((engine.tokens() - before) * 1000) / (performance.now() - startedAt)
  const measured = [...runs]
  stopped.abort()
  await Promise.all(lanes)
  return { waits, runs: measured, tokensPerSecond }
}

/** The inside of an engine process. Every question is asked once, so that only system prompts are known. */
function startEngine(runs: Run[]) {
  const background = new Set<number>()
  let running: readonly number[] = []
  let sessionsOpened = 0
  const scheduler = createScheduler({
    runner: {
      ...generation,
      async run(feeds, fetch) {
        const startedAt = performance.now()
        const fetches = await generation.run(feeds, fetch)
        const isBackground = running.some((session) => background.has(session))
        const endedAt = performance.now()
        runs.push({ ms: endedAt - startedAt, endedAt, isBackground, isDecoding: feeds.inputLength === 1 })
        return fetches
      },
    },
    eosTokenIds: directory.sizes.eosTokenIds,
    limits: LIMITS.cpu,
    onSessions(sessions) {
      running = sessions
    },
  })
  const sessions = createSessions({
    scheduler,
    layout: generation.layout,
    ...directory.sizes,
    thoughtLayers: generation.thoughtLayers,
    cacheBytes: 2 ** 31,
    prefixes: PREFIXES,
    headLogits: head.logits,
  })
  const open = (prompt: readonly number[]) => {
    sessions.open(++sessionsOpened, prompt)
    return sessionsOpened
  }
  /** A question as a chat, without the instructions of the profile. */
  const nextPrompt = () =>
    directory.codec.encodeChat([{ role: 'user', content: questions[asked++ % questions.length]! }])

  /** Opens sessions one after the other until the signal fires, and closes the last one then. */
  async function repeat(
    signal: AbortSignal,
    prompt: () => readonly number[],
    use: (session: number) => Promise<unknown>,
  ): Promise<void> {
    while (!signal.aborted) {
      const session = open(prompt())
      background.add(session)
      const close = () => sessions.close(session)
      signal.addEventListener('abort', close)
      await use(session).catch((thrown: unknown) => {
        if (!signal.aborted) throw thrown
      })
      signal.removeEventListener('abort', close)
      close()
    }
  }

  return {
    tokens: () => scheduler.totals().decodeTokens + scheduler.totals().prefillTokens,
    decodeUntil: (signal: AbortSignal, lane: number) =>
      repeat(signal, nextPrompt, (session) =>
        sessions.generate(session, [
          { prefix: [], temperature: 1, seed: lane, maxNewTokens: contextLength, latents: 0 },
        ]),
      ),
    feedUntil(signal: AbortSignal, lane: number) {
      const length = Math.min(Number(values.prompt), Math.floor(contextLength / 2))
      let from = lane
      const nextText = () => {
        from = (from + 17) % (text.length - length)
        return text.slice(from, from + length)
      }
      return repeat(signal, nextText, (session) => sessions.embed(session))
    },
    /** Sends a request that was due at `dueAt`, and waits for its first token. */
    async firstToken(dueAt: number): Promise<Wait> {
      // The run that was in progress at `dueAt` has ended when a late timer fires.
      const runsBefore = runs.findLastIndex(({ endedAt }) => endedAt <= dueAt) + 1
      const session = open(nextPrompt())
      await sessions.generate(session, [{ prefix: [], temperature: 0, seed: 0, maxNewTokens: 1, latents: 0 }])
      sessions.close(session)
      return { ms: performance.now() - dueAt, runs: runs.length - runsBefore }
    },
  }
}
