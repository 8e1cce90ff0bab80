/** @file Latency of a polite caller, alone and beside a hostile caller that asks for far more than its share. */

import { loadavg } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { hasCode } from '#errors'
import { createSolver, type Solver, type Strategy } from '#solving'
import { printTable } from '../report/table.ts'
import { bundledModel, startEngine } from './models.ts'

const HOSTILE_CONNECTIONS = 48
const HOSTILE_SAMPLES = 64
/** Pause of the hostile caller after a refusal; it ignores the retry time. */
const HOSTILE_PAUSE_MS = 100
const WARM_UP = 8
const STRATEGIES = ['greedy', 'latentseek'] as const
const logger = { info() {}, warn() {} }

interface Latencies {
  readonly p50: number
  readonly p95: number
  readonly refused: number
}

/** Solves one request at a time as the polite caller, then the same beside the hostile one. */
export async function measureFairness({ count }: { readonly count: number }): Promise<unknown> {
  const model = bundledModel()
  await using parts = new AsyncDisposableStack()
  const engine = parts.adopt(await startEngine(model), (it) => it.close())
  const solver = createSolver({ engine, episodes: null, logger })
  const questions = model.questions(WARM_UP + count)
  const reports = []
  for (const strategy of STRATEGIES) {
    await measurePolite(solver, strategy, questions.slice(0, WARM_UP))
    const alone = await measurePolite(solver, strategy, questions.slice(WARM_UP))
    const hostile = startHostile(solver, questions)
    await setTimeout(1000)
    const beside = await measurePolite(solver, strategy, questions.slice(WARM_UP))
    const counts = await hostile.stop()
    reports.push({ strategy, count, alone, beside, ratio: beside.p95 / alone.p95, hostile: counts })
  }
  printTable(
    `a polite caller beside ${HOSTILE_CONNECTIONS} connections of majority with ${HOSTILE_SAMPLES} samples, ms`,
    ['strategy', 'alone p50', 'p95', 'beside p50', 'p95', 'p95 ratio', 'refused', 'hostile solved, refused'],
    reports.map(({ strategy, alone, beside, ratio, hostile }) => [
      strategy,
      alone.p50,
      alone.p95,
      beside.p50,
      beside.p95,
      ratio,
      beside.refused,
      `${hostile.solved}, ${hostile.refused}`,
    ]),
  )
  console.log(`load average ${loadavg().map((load) => load.toFixed(1))}`)
  return reports
}

async function measurePolite(
  solver: Solver,
  strategy: Strategy,
  questions: readonly string[],
): Promise<Latencies> {
  const milliseconds: number[] = []
  let refused = 0
  for (const [seed, question] of questions.entries()) {
    const started = performance.now()
    try {
      await solver.solve(
        { tenantId: 'bench', question, strategy, learn: false, explain: false, seed },
        { signal: new AbortController().signal, caller: 'polite' },
      )
      milliseconds.push(performance.now() - started)
    } catch (error) {
      if (!hasCode(error, 'ENGINE_OVERLOADED')) throw error
      refused += 1
    }
    await setTimeout(5)
  }
  milliseconds.sort((a, b) => a - b)
  const at = (share: number) => milliseconds[Math.floor(share * (milliseconds.length - 1))] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), refused }
}

function startHostile(solver: Solver, questions: readonly string[]) {
  const stopped = new AbortController()
  let [solved, refused, next] = [0, 0, 0]
  async function connection(): Promise<void> {
    while (!stopped.signal.aborted) {
      next += 1
      const question = questions[next % questions.length]!
      try {
        await solver.solve(
          {
            tenantId: 'bench',
            question,
            strategy: 'majority',
            samples: HOSTILE_SAMPLES,
            learn: false,
            explain: false,
            seed: next,
          },
          { signal: stopped.signal, caller: 'hostile' },
        )
        solved += 1
      } catch (error) {
        if (hasCode(error, 'ABORTED')) return
        if (!hasCode(error, 'ENGINE_OVERLOADED')) throw error
        refused += 1
        await setTimeout(HOSTILE_PAUSE_MS)
      }
    }
  }
  const connections = Array.from({ length: HOSTILE_CONNECTIONS }, connection)
  return {
    async stop() {
      stopped.abort()
      await Promise.all(connections)
      return { solved, refused }
    },
  }
}
