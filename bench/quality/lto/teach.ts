/**
 * @file A small day and night on the service's own parts: the solver answers questions with known answers
 * and stores them as episodes, the queue labels them, a consolidation trains in its own process, and the
 * watcher loads the promoted version.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Consolidation } from '#artifacts'
import { createOutbox, createTrainingStore, type NewEpisode } from '#episodes'
import { connectQueues } from '#jobs'
import type { LatentRewardModel } from '#ports'
import { type ActiveModels, watchActiveArtifacts } from '#serving'
import { createSolver } from '#solving'
import type { Problem } from '../../../models/order-of-operations/problems.ts'
import { consolidationDeps } from '../../../src/consolidation-deps.ts'
import { mean } from '../../report/statistics.ts'
import { printTable } from '../../report/table.ts'
import { solveAll } from '../measure.ts'
import type { Workbench } from '../workbench.ts'
import { type Example, labelled } from './training.ts'

export interface Lesson {
  readonly learned: ActiveModels & { readonly rewardModel: LatentRewardModel }
  /** All answers available for training. */
  readonly examples: readonly Example[]
  readonly report: {
    readonly questions: number
    readonly answers: number
    /** Share of the answers that are right. */
    readonly right: number
    readonly version: string
    readonly daySeconds: number
    readonly nightSeconds: number
    readonly reason: string | null
    readonly metrics: Consolidation['artifacts'][number]['metrics']
  }
}

/**
 * Teaches a reward model; it stays usable until `parts` is disposed of. @throws when the night promotes
 * none, with its reason
 */
export async function teach(
  bench: Workbench,
  parts: AsyncDisposableStack,
  { problems, samples }: { readonly problems: readonly Problem[]; readonly samples: number },
): Promise<Lesson> {
  const { engine, database, episodes, logger } = bench
  const consolidation = consolidationDeps({
    database,
    engine: { executionProvider: 'cpu', cudaDevice: 0 },
    logger,
    openReplayEngine: async () => ({ engine, close: async () => {} }),
  })
  const queues = parts.adopt(connectQueues({ redisUrl: undefined, database, logger }), (it) => it.close())
  const outbox = createOutbox({ database })
  parts.adopt(queues.startWorker({ store: episodes, outbox, consolidation }), (it) => it.close())
  const watcher = parts.adopt(
    watchActiveArtifacts({ artifacts: consolidation.artifacts, engine, logger }),
    (it) => it.close(),
  )

  const kept: NewEpisode[] = []
  const add = (episode: NewEpisode) => {
    kept.push(episode)
    return episodes.add(episode)
  }
  const solver = createSolver({
    engine,
    episodes: { ...episodes, add },
    logger,
    activeModels: watcher.current,
  })
  const day = performance.now()
  const ask = { strategy: 'majority', samples, learn: true, explain: false } as const
  await solveAll(solver, problems, ask, { told: true })
  const night = performance.now()
  const { fingerprint } = engine.model
  // A night waits a few seconds for labels and no longer; the bench wants those of the whole day.
  const training = createTrainingStore({ database })
  while ((await training.countPending(fingerprint)) > 0) await delay(250)
  const { id } = await consolidation.consolidations.request({
    fingerprint,
    kinds: ['lrm'],
    force: true,
    trigger: 'request',
  })
  const [outcome] = (await finished(() => consolidation.consolidations.get(id))).artifacts
  await watcher.refresh()
  const { weaver, rewardModel } = watcher.current()
  if (rewardModel === null)
    throw new Error(`lesson: expected a promoted model, got ${JSON.stringify(outcome)}`)

  const examples = examplesOfEpisodes(kept, problems)
  const report = {
    questions: problems.length,
    answers: examples.length,
    right: mean(examples.map(({ correct }) => Number(correct))),
    version: rewardModel.version,
    daySeconds: (night - day) / 1000,
    nightSeconds: (performance.now() - night) / 1000,
    reason: outcome?.reason ?? null,
    metrics: outcome?.metrics ?? {},
  }
  printLesson(report)
  return { learned: { weaver, rewardModel }, examples, report }
}

async function finished(look: () => Promise<Consolidation>): Promise<Consolidation> {
  for (;;) {
    const consolidation = await look()
    if (consolidation.finishedAt !== null) {
      if (consolidation.error === null) return consolidation
      throw new Error(`lesson: expected a consolidation without error, got ${consolidation.error}`)
    }
    await delay(250)
  }
}

function examplesOfEpisodes(kept: readonly NewEpisode[], problems: readonly Problem[]): readonly Example[] {
  const families = new Map(problems.map(({ question, family }) => [question, family]))
  return kept.flatMap(({ question, reference, candidates }) =>
    candidates.flatMap(({ answer, thought }) => {
      if (thought === null) return []
      const family = families.get(question) ?? ''
      return [labelled({ family, question, thought, correct: answer === reference })]
    }),
  )
}

function printLesson({
  metrics,
  ...report
}: { readonly metrics: Consolidation['artifacts'][number]['metrics'] } & Readonly<
  Record<string, string | number | object | null>
>): void {
  printTable(
    'The lesson',
    ['what', 'value'],
    Object.entries(report).map(([name, value]) => [name, typeof value === 'number' ? value : String(value)]),
  )
  printTable(
    'What the night measured, on questions it held out of its training',
    ['figure', 'value', 'low', 'high', 'n'],
    Object.entries(metrics).map(([name, { value, low, high, n }]) => [
      name,
      value,
      low ?? '-',
      high ?? '-',
      n,
    ]),
  )
}
