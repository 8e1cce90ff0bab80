/**
 * @file Overhead beside ONNX Runtime: its share of a saturated engine's time, and the cost of a request by
 * stage.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { migrate, openDatabase } from '#database'
import type { Engine } from '#engine'
import { createEpisodeStore, type EpisodeStore } from '#episodes'
import { concurrently } from '#evaluation'
import { createSolver, type SolveRequest } from '#solving'
import { printTable } from '../report/table.ts'
import { bundledModel, largerModel } from './models.ts'
import { startProbedEngine } from './probed-engine.ts'
import { createStopwatch } from './stopwatch.ts'

const LANES = 32
const WARM_UP = 8
const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }

/** Share of wall time inside `session.run` while more requests wait than fit a batch. */
export async function measureSaturation({ requests }: { readonly requests: number }): Promise<unknown> {
  const model = await largerModel()
  await using parts = new AsyncDisposableStack()
  const probed = parts.adopt(await startProbedEngine(model), (it) => it.close())
  const { engine } = probed
  const solver = createSolver({ engine, episodes: null, logger })
  const questions = model.questions(WARM_UP + requests)
  const solve = (some: readonly string[]) =>
    concurrently(some, LANES, (question, seed) =>
      solver.solve(
        {
          tenantId: 'bench',
          question,
          strategy: 'greedy',
          learn: false,
          explain: false,
          seed,
          budget: { maxNewTokens: model.maxNewTokens },
        },
        { signal: new AbortController().signal },
      ),
    )
  await solve(questions.slice(0, WARM_UP))
  const before = await probed.read()
  const started = performance.now()
  const solved = await solve(questions.slice(WARM_UP))
  const wallMs = performance.now() - started
  const after = await probed.read()
  const tokens = solved.reduce((sum, { usage }) => sum + usage.generatedTokens, 0)
  const report = {
    model: model.name,
    threads: model.threads,
    requests,
    atOnce: LANES,
    wallMs,
    runShare: (after.runMs - before.runMs) / wallMs,
    runs: after.runs - before.runs,
    tokensPerSecond: (1000 * tokens) / wallMs,
  }
  printTable(
    `${model.name}, saturated: greedy and judged, ${LANES} at once, n = ${requests}, ${model.threads} thread(s)`,
    ['share of wall time in session.run', 'runs', 'tokens/s', 'wall s'],
    [[report.runShare, report.runs, report.tokensPerSecond, wallMs / 1000]],
  )
  return report
}

const REQUESTS: Readonly<Record<string, Partial<SolveRequest> & Pick<SolveRequest, 'strategy' | 'learn'>>> = {
  greedy: { strategy: 'greedy', learn: false },
  latentseek: { strategy: 'latentseek', learn: false },
  'auto, retrieval off': { strategy: 'auto', learn: false, retrieval: false },
  'auto, retrieval on': { strategy: 'auto', learn: false },
  'auto, retrieval on, remembered': { strategy: 'auto', learn: true },
}

/**
 * Microseconds per request by stage, one request at a time on the bundled model, with the embedded database.
 */
export async function measureStages({ count }: { readonly count: number }): Promise<unknown> {
  const model = bundledModel()
  const silent = pino({ level: 'warn' })
  await using parts = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-stages-'))
  parts.defer(() => rm(dataDir, { recursive: true, force: true }))
  const database = parts.adopt(await openDatabase({ dataDir, logger: silent }), (it) => it.close())
  await migrate(database.pool, join(import.meta.dirname, '../../migrations'))
  const probed = parts.adopt(await startProbedEngine(model), (it) => it.close())
  const watch = createStopwatch(['tokenise', 'engine', 'retrieval', 'commit'])
  const solver = createSolver({
    logger,
    engine: watchedEngine(probed.engine, watch),
    episodes: watchedStore(createEpisodeStore({ database }), watch),
  })
  const questions = model.questions(2 * count)
  const solveAll = (ask: (typeof REQUESTS)[string], some = questions.slice(count)) =>
    concurrently(some, 1, (question, seed) =>
      solver.solve(
        { tenantId: 'bench', question, explain: false, seed, ...ask },
        { signal: new AbortController().signal },
      ),
    )
  // Fills the memory for retrieval.
  await solveAll({ strategy: 'auto', learn: true }, questions.slice(0, count))

  const stages: Record<string, Record<string, number>> = {}
  for (const [name, ask] of Object.entries(REQUESTS)) {
    watch.reset()
    const [before, busy, started] = [
      await probed.read(),
      performance.eventLoopUtilization(),
      performance.now(),
    ]
    await solveAll(ask)
    const total = performance.now() - started
    const api = performance.eventLoopUtilization(busy).active
    const after = await probed.read()
    const run = after.runMs - before.runMs
    const active = after.activeMs - before.activeMs
    const { tokenise = 0, engine = 0, retrieval = 0, commit = 0, any = 0 } = watch.read()
    const inMicroseconds = (ms: number) => (1000 * ms) / count
    stages[name] = {
      'ONNX Runtime': inMicroseconds(run),
      'engine beside it: batches, caches, messages, waiting': inMicroseconds(engine - run),
      'tokenise and detokenise': inMicroseconds(tokenise),
      'retrieval (embedded database)': inMicroseconds(retrieval),
      'commit (embedded database)': inMicroseconds(commit),
      'solving, the rest': inMicroseconds(total - any),
      'hidden: what ran beside something else': inMicroseconds(any - engine - tokenise - retrieval - commit),
      total: inMicroseconds(total),
      'engine process busy beside ONNX Runtime': inMicroseconds(active - run),
      'API process busy': inMicroseconds(api),
    }
  }
  const rows = Object.keys(stages['greedy'] ?? {})
  printTable(
    `${model.name}: microseconds per request by stage, one at a time, n = ${count}, ${model.threads} thread(s)`,
    ['stage', ...Object.keys(stages)],
    rows.map((row) => [row, ...Object.values(stages).map((stage) => Math.round(stage[row] ?? 0))]),
  )
  return { count, stages }
}

type Watch = ReturnType<typeof createStopwatch>

function watchedEngine(engine: Engine, { wrap, wrapAsync }: Watch): Engine {
  const { codec, head } = engine
  return {
    ...engine,
    codec: {
      ...codec,
      encode: wrap('tokenise', codec.encode),
      encodeChat: wrap('tokenise', codec.encodeChat),
      quote: wrap('tokenise', codec.quote),
      decode: wrap('tokenise', codec.decode),
    },
    head: {
      ascend: wrapAsync('engine', head.ascend),
      decode: wrapAsync('engine', head.decode),
      sample: wrapAsync('engine', head.sample),
      likelyTokens: wrapAsync('engine', head.likelyTokens),
    },
    async open(prompt, options) {
      const session = await engine.open(prompt, options)
      return {
        ...session,
        embed: wrapAsync('engine', session.embed),
        generate: wrapAsync('engine', session.generate),
        score: wrapAsync('engine', session.score),
      }
    },
  }
}

function watchedStore(store: EpisodeStore, { wrapAsync }: Watch): EpisodeStore {
  return { ...store, recollect: wrapAsync('retrieval', store.recollect), add: wrapAsync('commit', store.add) }
}
