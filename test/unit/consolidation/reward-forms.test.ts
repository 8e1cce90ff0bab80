/** @file Nights that train every form of the reward model on what a day left, serve the chosen one, and roll back. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FormName } from '#algorithms'
import {
  type ArtifactStore,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
  createLearningStore,
} from '#artifacts'
import { type ConsolidationDeps, consolidate } from '#consolidation'
import type { Engine } from '#engine'
import { createEpisodeStore, createTrainingStore, type EpisodeStore } from '#episodes'
import { ServiceError } from '#errors'
import type { GenerationRow, SessionOptions } from '#ports'
import { watchActiveArtifacts } from '#serving'
import { sumsOf } from '../../../src/algorithms/lto/forms/gated.ts'
import { newCandidate, newEpisode, unitVector } from '../../support/episodes.ts'
import { graphRunner } from '../../support/graph-runner.ts'
import { createLinearModel } from '../../support/linear-model.ts'
import { SMALL_NETWORK } from '../../support/small-network.ts'
import { createEmbeddedDatabase, silent, type TestDatabase } from '../../support/test-database.ts'
import { LAYERS, tracedThought, WIDTH } from '../../support/traced-thoughts.ts'

const MODEL = 'model-1'
const FORMS = ['mean', 'last', 'gated'] as const

let opened: TestDatabase
let episodes: EpisodeStore
let artifacts: ArtifactStore
let consolidations: ConsolidationStore
let asked = 0
let nights = 0

beforeAll(async () => {
  opened = await createEmbeddedDatabase()
  const { database } = opened
  episodes = createEpisodeStore({ database })
  artifacts = createArtifactStore({ database })
  consolidations = createConsolidationStore({ database })
}, 60_000)
afterAll(() => opened.drop())

/** Tokens of an answer, of which the model makes its thought: right or wrong, the form that shows it, a seed. */
const tokensOf = (correct: boolean, shownIn: FormName, seed: number) => [
  Number(correct),
  FORMS.indexOf(shownIn),
  seed,
]

function thoughtOf([correct, form, seed]: readonly number[]) {
  return tracedThought(correct === 1, FORMS[form!]!, seed!)
}

/** An engine whose thoughts are made of the tokens that it is fed. */
function tracedEngine(): { readonly engine: Engine; readonly fed: GenerationRow[] } {
  const model = createLinearModel({ routes: {}, firstLogits: {} } as never)
  const fed: GenerationRow[] = []
  const open = async (_prompt: readonly number[], { tokenMaps }: SessionOptions) => ({
    generate: async (rows: readonly GenerationRow[]) => {
      fed.push(...rows)
      return rows.map(({ prefix, tokenStates = 0 }) => {
        const { tokens, ...thought } = thoughtOf(prefix)
        return {
          thought: {
            ...thought,
            ...(tokenStates > 0 && { tokens }),
            ...(tokenMaps && { gated: sumsOf(tokenMaps, tokens) }),
          },
        }
      })
    },
    close() {},
  })
  const own = { ...model.model, fingerprint: MODEL }
  const sizes = { thoughtLayers: LAYERS, scoredLayers: 1, hiddenSize: WIDTH }
  return { engine: { ...model, ...sizes, model: own, open } as never, fed }
}

/** Stores a day of questions with right and wrong answers that only one form can tell apart. */
async function remember(questions: number, shownIn: FormName, isTraced = true): Promise<void> {
  for (let count = 0; count < questions; count++) {
    asked += 1
    const id = randomUUID()
    const candidates = [true, false, true, false].map((correct, index) => {
      const tokens = tokensOf(correct, shownIn, 10 * asked + index)
      const { data, layers, width, last } = thoughtOf(tokens)
      return newCandidate({
        kind: 'sample',
        chosen: index === 0,
        tokens,
        answer: correct ? '12' : '13',
        thought: { data, layers, width, ...(isTraced && { last }) },
      })
    })
    await episodes.add(
      newEpisode({
        id,
        question: `What is ${asked} x 1?`,
        embedding: unitVector(asked, 8),
        reference: '12',
        candidates,
        admitted: false,
        latents: null,
      }),
    )
    await episodes.index('tenant-a', id)
  }
}

const forget = () => opened.database.pool.query('truncate episodes, outbox cascade')

async function night(openReplayEngine: ConsolidationDeps['openReplayEngine']) {
  const { database } = opened
  const runner = graphRunner()
  const requested = await consolidations.request({
    fingerprint: MODEL,
    kinds: ['lrm'],
    force: true,
    trigger: 'request',
  })
  // The id salts the split and seeds the training: a random one would leave the outcome to chance.
  nights += 1
  const id = `00000000-0000-4000-8000-${String(nights).padStart(12, '0')}`
  await database.pool.query('update consolidations set id = $1 where id = $2', [id, requested.id])
  const deps: ConsolidationDeps = {
    consolidations,
    artifacts,
    learning: createLearningStore({ database }),
    training: createTrainingStore({ database }),
    startTrainer: async () => ({ ...runner, peakMemoryBytes: async () => 1, close: async () => {} }),
    openReplayEngine,
    episodes,
    logger: silent,
    codeVersion: '1.2.3',
    rewardModel: { ...SMALL_NETWORK, epochs: 40 },
  }
  await consolidate(deps, id, new AbortController().signal)
  const report = await consolidations.report(id)
  return report!.artifacts[0]!
}

test('a night chooses the form, its gate compares forms, and every one is served, also after a roll-back', async () => {
  const { engine, fed } = tracedEngine()
  const replaying = async () => ({ engine, close: async () => {} })
  const unneeded = () => Promise.reject(new Error('answers without traced tokens are not fed'))
  const watcher = watchActiveArtifacts({
    artifacts,
    engine: { ...engine, graphs: graphRunner() },
    logger: silent,
    pollMs: 60_000,
  })
  const serving = async () => {
    await watcher.refresh()
    const { rewardModel } = watcher.current()
    const scored = async (shownIn: FormName) => {
      const thoughts = [true, false].map((correct) => {
        const { tokens, ...thought } = tracedThought(correct, shownIn, 7)
        const { tokenMaps } = rewardModel!
        return { ...thought, ...(tokenMaps && { gated: sumsOf(tokenMaps, tokens) }) }
      })
      const [right, wrong] = await rewardModel!.score(thoughts)
      return right! - wrong!
    }
    return { version: rewardModel?.version, tokenMaps: rewardModel?.tokenMaps, scored }
  }

  // Episodes of an earlier release.
  await remember(120, 'mean', false)
  const first = await night(unneeded)
  expect(first).toMatchObject({ version: 'lrm-1', status: 'promoted', form: 'mean' })
  const mean = await serving()
  expect(mean).toMatchObject({ version: 'lrm-1', tokenMaps: undefined })
  expect(await mean.scored('mean')).toBeGreaterThan(0.3)

  // Without the first day, whose answers have no states: enough of the calibration questions have them.
  await forget()
  await remember(260, 'last')
  const second = await night(replaying)
  expect(second, JSON.stringify(second)).toMatchObject({ version: 'lrm-2', status: 'promoted', form: 'last' })
  expect(second.metrics['last.calibrationAuc']!.value).toBeGreaterThan(0.9)
  expect(fed.every(({ maxNewTokens, tokenStates }) => maxNewTokens === 0 && tokenStates! > 0)).toBe(true)
  const last = await serving()
  expect(last).toMatchObject({ version: 'lrm-2', tokenMaps: undefined })
  expect(await last.scored('last')).toBeGreaterThan(0.3)

  await forget()
  await remember(260, 'gated')
  fed.length = 0
  const third = await night(replaying)
  expect(third, JSON.stringify(third)).toMatchObject({ version: 'lrm-3', status: 'promoted', form: 'gated' })
  expect(third.metrics['withinAuc']!.value).toBeGreaterThan(0.9)
  // The gate feeds the held-out answers once more, without their states.
  expect(fed.some(({ tokenStates }) => tokenStates === 0)).toBe(true)
  const gated = await serving()
  expect(gated).toMatchObject({ version: 'lrm-3', tokenMaps: { version: 'lrm-3' } })
  expect(await gated.scored('gated')).toBeGreaterThan(0.3)

  // A worker without the model cannot compare with the active version, so nothing changes.
  await remember(30, 'gated')
  const elsewhere = await night(() =>
    Promise.reject(new ServiceError('MODEL_INVALID', 'open: expected a model')),
  )
  expect(elsewhere).toMatchObject({
    version: 'lrm-4',
    status: 'rejected',
    form: expect.stringMatching('mean|last'),
  })
  expect(elsewhere.reason).toMatch(/cannot be scored/)

  const versions = await artifacts.list({ fingerprint: MODEL, limit: 10 })
  await artifacts.activate(versions.find(({ version }) => version === 'lrm-2')!.id, MODEL)
  const back = await serving()
  expect(back).toMatchObject({ version: 'lrm-2', tokenMaps: undefined })
  expect(await back.scored('last')).toBeGreaterThan(0.3)
  await watcher.close()
}, 240_000)
