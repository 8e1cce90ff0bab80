/** @file One night: a weaver from everything that is remembered, judged by the gate as the service judges it. */

import { createHash } from 'node:crypto'
import { gateWeaver, openWeaver, trainWeaver } from '#algorithms'
import { createTrainer } from '#engine'
import { createTrainingStore, type StoredLatents } from '#episodes'
import { type ActiveModels, type ReplayOptions, replay } from '#solving'
import type { Workbench } from '../quality/workbench.ts'

export interface Night {
  readonly status: 'promoted' | 'rejected' | 'skipped'
  readonly reason: string | null
  /** That it was trained on. */
  readonly episodes: number
  readonly seconds: number
  /** Most memory that the training process had in use. */
  readonly trainerMiB: number
  /** Share of the squared shift that the candidate explains on questions it never saw; null when there is none. */
  readonly explained: number | null
}

let versions = 0
const previous = new WeakMap<ActiveModels, Uint8Array>()

export async function holdNight(
  { engine, database, episodes, logger }: Workbench,
  learned: ActiveModels,
): Promise<{ night: Night; serving: ActiveModels }> {
  const started = performance.now()
  const { fingerprint, profile } = engine.model
  const training = createTrainingStore({ database })
  const { signal } = new AbortController()
  const snapshot = await training.snapshot({ fingerprint, material: 'latents', maxTenantShare: 0.5 })
  const pairs: StoredLatents[] = []
  for await (const pair of training.latentPairs(fingerprint, snapshot.episodes)) pairs.push(pair)
  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
  const warmStart = previous.get(learned)
  const seed = createHash('sha256').update(String(pairs.length)).digest().readUInt32BE(0)
  const result = await trainWeaver(
    trainer,
    pairs,
    { seed, signal },
    { latents: profile.defaults.latents, ...(warmStart && { warmStart }) },
  )
  const trainerMiB = (await trainer.peakMemoryBytes()) / 2 ** 20
  await trainer.close()
  const report = (rest: Pick<Night, 'status' | 'reason' | 'explained'>): Night => ({
    ...rest,
    episodes: pairs.length,
    seconds: (performance.now() - started) / 1000,
    trainerMiB,
  })
  if ('skipped' in result) {
    return {
      night: report({ status: 'skipped', reason: result.skipped, explained: null }),
      serving: learned,
    }
  }
  const { model, features, heldOut, metrics } = result.trained
  const weaver = await openWeaver(engine.graphs, model, { version: `weaver-${++versions}`, ...features })
  const asked = new Set(heldOut.map((index) => pairs[index]!.question))
  const questions = [...asked].map((question) => ({ tenantId: 'bench', question, reference: null }))
  const exclude = pairs.filter(({ question }) => asked.has(question)).map(({ episodeId }) => episodeId)
  const candidate: ActiveModels = { ...learned, weaver }
  const tried = (options: Pick<ReplayOptions, 'learned' | 'retrieval'>) =>
    replay({ engine, episodes, logger }, questions, { ...options, exclude, signal, concurrency: 16 })
  const verdict = gateWeaver({
    candidate: await tried({ learned: candidate, retrieval: false }),
    active: await tried({ learned, retrieval: false }),
    guard: {
      candidate: await tried({ learned: candidate, retrieval: true }),
      active: await tried({ learned, retrieval: true }),
    },
    seed,
  })
  previous.set(candidate, model)
  const { promoted, reason } = verdict
  return {
    night: report({
      status: promoted ? 'promoted' : 'rejected',
      reason,
      explained: metrics.explained.value,
    }),
    serving: promoted ? candidate : learned,
  }
}
