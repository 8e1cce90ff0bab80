/**
 * @file CPU time of the recurrences in the engine, at batches of 1 and 16, beside a PyTorch loop over the same network.
 *
 * The sides take turns, repeat by repeat, so that what other programs do to the caches of a core hits both. CPU time does not count
 * the time for which these programs had the core.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootstrapByQuestion } from '#algorithms'
import type { Engine } from '#engine'
import { mean } from '#evaluation'
import { createRandom } from '#tensor'
import { startPython } from '../python-process.ts'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { printTable } from '../report/table.ts'

const REPEATS = 30
/** Repeats before those that count: V8 compiles what it has run some hundred times. */
const WARM_UP = { 1: 60, 16: 5 } as const
const BATCHES = [1, 16] as const
const PROMPT_TOKENS = 24
const PROMPT_SEED = 1

/** CPU ms of a batch: its prompts, and then one token behind the cache of each. */
interface Times {
  readonly prompt: number
  readonly token: number
  /** Runs of the graph that fed the prompts; absent for PyTorch, which has one. */
  readonly promptRuns?: number
}

/** Runs a batch with a number of recurrences. */
type Side = (batch: number, recurrences: number) => Promise<Times>

/**
 * Measures both sides with the profile's recurrences and with the most, whose difference is the time of the recurrences alone:
 * prelude, coda, caches and messages cancel.
 *
 * @param questions give the tokens of the prompts
 * @param options.python a Python with PyTorch; without one, only the engine is measured
 * @param options.model directory with reference-loop.py
 */
export async function measureCost(
  engine: Engine,
  questions: readonly string[],
  { python, model, threads }: { readonly python: string; readonly model: string; readonly threads: number },
): Promise<Measurement[]> {
  const { steps: own, maxSteps } = engine.model.profile.recurrence!
  const reference = await startPython(python, [join(model, 'reference-loop.py')], {
    OMP_NUM_THREADS: `${threads}`,
  })
  if (reference === null)
    console.log(`\n**NOT COMPARED: "${python}" has no PyTorch, or the model no checkpoint.**`)
  const sides: Readonly<Record<string, Side>> = {
    engine: createEngineSide(engine, questions),
    ...(reference && {
      pytorch: (batch, recurrences) =>
        reference.ask({ batch, recurrences, tokens: PROMPT_TOKENS }) as Promise<Times>,
    }),
  }
  const measured: Measurement[] = []
  for (const batch of BATCHES) {
    const times = new Map<string, Times[]>()
    for (let repeat = -WARM_UP[batch]; repeat < REPEATS; repeat++) {
      for (const recurrences of [own, maxSteps]) {
        for (const [name, side] of Object.entries(sides)) {
          const taken = await side(batch, recurrences)
          const key = `${name} ${recurrences}`
          if (repeat >= 0) times.set(key, [...(times.get(key) ?? []), taken])
        }
      }
    }
    progress(`cost of ${batch} rows`)
    for (const fed of ['prompt', 'token'] as const) {
      const of = (name: string, recurrences: number) =>
        times.get(`${name} ${recurrences}`)?.map((each) => each[fed] / batch) ?? null
      const perRecurrence = (name: string) => {
        const [short, long] = [of(name, own), of(name, maxSteps)]
        return long?.map((ms, repeat) => (ms - short![repeat]!) / (maxSteps - own)) ?? null
      }
      measured.push({
        part: 'cost',
        seeds: [PROMPT_SEED],
        case: { rows: batch, fed: fed === 'prompt' ? `${PROMPT_TOKENS} tokens` : 'one token' },
        n: REPEATS,
        figures: {
          perRecurrence: compare(perRecurrence('engine')!, perRecurrence('pytorch')),
          whole: compare(of('engine', own)!, of('pytorch', own)),
          ...(fed === 'prompt' && {
            promptRuns: mean(times.get(`engine ${own}`)!.map(({ promptRuns }) => promptRuns!)),
          }),
        },
        ...(measured.length === 0 && {
          settings: { recurrences: [own, maxSteps], threads, torch: reference?.hello.torch ?? null },
        }),
      })
    }
  }
  await reference?.close()
  printCosts(measured, own)
  return measured
}

/** Mean ms of both sides, and their ratio with its 95 % interval by bootstrap over repeats. */
function compare(engine: readonly number[], pytorch: readonly number[] | null) {
  const sum = (values: readonly number[], weights: Float64Array) =>
    values.reduce((total, value, index) => total + value * weights[index]!, 0)
  if (pytorch === null) return { engine: mean(engine), pytorch, ratio: null }
  const repeats = engine.map((_, repeat) => `${repeat}`)
  const { value, low, high } = bootstrapByQuestion(
    repeats,
    (weights) => sum(engine, weights) / sum(pytorch, weights),
  )
  return { engine: mean(engine), pytorch: mean(pytorch), ratio: { value, low, high } }
}

interface Figures {
  readonly perRecurrence: ReturnType<typeof compare>
  readonly whole: ReturnType<typeof compare>
  /** Mean number of runs of the engine for the prompts of a batch. */
  readonly promptRuns?: number
}

function printCosts(measured: readonly Measurement[], own: number): void {
  const cells = ({ engine, pytorch, ratio }: ReturnType<typeof compare>) => [
    engine,
    pytorch ?? '-',
    ...[ratio?.value, ratio?.low, ratio?.high].map((cell) => cell ?? '-'),
  ]
  const sides = ['engine', 'PyTorch', 'ratio', 'low', 'high']
  printTable(
    `CPU milliseconds per row: of one recurrence, and of a run with ${own} recurrences`,
    ['rows', 'fed', ...sides, ...sides.map((side) => `${side}, whole run`), 'runs of the engine'],
    measured.map(({ case: { rows, fed }, figures }) => {
      const { perRecurrence, whole, promptRuns = '-' } = figures as Figures
      return [rows!, fed!, ...cells(perRecurrence), ...cells(whole), promptRuns]
    }),
  )
}

/** Each row is a session of its own with a prompt of random tokens, so that no prompt begins like an earlier one. */
function createEngineSide(engine: Engine, questions: readonly string[]): Side {
  const random = createRandom(PROMPT_SEED)
  const vocabulary = [...new Set(questions.flatMap((question) => engine.codec.encode(question)))]
  const draw = () => vocabulary[Math.floor(random.uniform() * vocabulary.length)]!
  return async (batch, recurrences) => {
    const options = { signal: new AbortController().signal, thinking: { steps: recurrences } }
    const open = () => engine.open(Array.from({ length: PROMPT_TOKENS }, draw), options)
    const sessions = await Promise.all(Array.from({ length: batch }, open))
    const runs = () => engine.status().totals.batchRows.counts.reduce((sum, count) => sum + count, 0)
    const runsBefore = runs()
    const prompt = await cpuMsOf(engine, () => Promise.all(sessions.map((session) => session.embed())))
    const promptRuns = runs() - runsBefore
    const token = await cpuMsOf(engine, () =>
      Promise.all(
        sessions.map((session) => session.score([{ sequence: session.prompt, suffix: [draw()] }], [0])),
      ),
    )
    for (const session of sessions) session.close()
    return { prompt, token, promptRuns }
  }
}

/** CPU time of this process and of all threads of the engine's, which is idle before and after. */
async function cpuMsOf(engine: Engine, work: () => Promise<unknown>): Promise<number> {
  const threads = `/proc/${engine.status().pid}/task`
  const engineMs = () =>
    readdirSync(threads)
      .map((thread) => Number(readFileSync(join(threads, thread, 'schedstat'), 'utf8').split(' ')[0]))
      .reduce((sum, ns) => sum + ns / 1e6, 0)
  const before = engineMs()
  const began = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000 + engineMs() - before
}
