/** @file Tokens per second of the engine against the number of requests at once. */

import { join } from 'node:path'
import type { Plot } from '#evaluation'
import { concurrently } from '#evaluation'
import { writeCsv } from '../report/csv.ts'
import { printTable } from '../report/table.ts'
import { type BenchModel, bundledModel, generateOnce, largerModel, promptOf, startEngine } from './models.ts'

const AT_ONCE = [1, 2, 4, 8, 16, 32, 64]
const WARM_UP = 8

interface Point {
  readonly atOnce: number
  readonly tokensPerSecond: number
}

/** Measures both models. `docs` is the folder of the CSV; null writes none. */
export async function measureScaling(options: {
  readonly waves: number
  readonly docs: string | null
}): Promise<{ readonly report: unknown; readonly plots: Plot[] }> {
  const models = [
    { model: bundledModel(), waves: 4 * options.waves },
    { model: await largerModel(), waves: 1 },
  ]
  const curves: { model: string; threads: number; points: Point[] }[] = []
  for (const { model, waves } of models) {
    curves.push({ model: model.name, threads: model.threads, points: await curve(model, waves) })
  }
  const header = ['requests at once', ...models.map(({ model }) => `${model.name} tokens/s`)]
  const rows = AT_ONCE.map((atOnce, index) => [
    atOnce,
    ...curves.map(({ points }) => points[index]?.tokensPerSecond ?? Number.NaN),
  ])
  printTable('Tokens per second, greedy, every request in a session of its own', header, rows)
  if (options.docs !== null) await writeCsv(join(options.docs, 'scaling.csv'), header, rows)
  const plots = curves.map(
    ({ model, points }): Plot => ({
      title: `${model}: throughput`,
      x: { label: 'requests at once', log: 2 },
      y: { label: 'tokens per second' },
      series: [{ name: 'measured', points: points.map((it) => [it.atOnce, it.tokensPerSecond]) }],
    }),
  )
  return { report: curves, plots }
}

async function curve(model: BenchModel, waves: number): Promise<Point[]> {
  await using parts = new AsyncDisposableStack()
  const engine = parts.adopt(await startEngine(model), (it) => it.close())
  const counts = AT_ONCE.map((atOnce) => Math.max(waves * atOnce, 2 * waves))
  const total = counts.reduce((sum, count) => sum + count, WARM_UP)
  // Each prompt is used once: the engine's prefix cache would recognise repeated ones.
  const prompts = model.questions(total).map((question) => promptOf(engine, question))
  const generate = (count: number, atOnce: number) =>
    concurrently(prompts.splice(0, count), atOnce, (prompt) =>
      generateOnce(engine, prompt, model.maxNewTokens),
    )
  await generate(WARM_UP, WARM_UP)
  const points: Point[] = []
  for (const [index, atOnce] of AT_ONCE.entries()) {
    const started = performance.now()
    const answers = await generate(counts[index] ?? 0, atOnce)
    const seconds = (performance.now() - started) / 1000
    points.push({ atOnce, tokensPerSecond: answers.flat().length / seconds })
  }
  return points
}
