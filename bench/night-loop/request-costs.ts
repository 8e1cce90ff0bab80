/**
 * @file Work that a request of a model of 7B parameters leaves to the event loop of the API, operation by
 * operation: the longest stretch of processor time between two turns of the loop.
 */

import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { pino } from 'pino'
import { coeComplex, fitFloat16, identityWeaver, openRewardModel, transferMomentum } from '#algorithms'
import type { Database } from '#database'
import { createTrainer } from '#engine'
import { createEpisodeStore, type NewEpisode } from '#episodes'
import { createModel, createTape, encodeModel, value } from '#onnx'
import { createRandom, createTensor, norm } from '#tensor'
import { UNCALIBRATED } from '../../src/algorithms/lto/calibrate.ts'
import { compileRewardModel } from '../../src/algorithms/lto/reward-graphs.ts'
import { createParameters } from '../../src/algorithms/lto/reward-network.ts'
import { projectLatents } from '../../src/solving/project-latents.ts'
import { LAYERS, WIDTH } from './wide-day.ts'

export interface RequestCost {
  readonly operation: string
  /** Longest stretch of each repetition: the median, and the largest. */
  readonly medianMs: number
  readonly maxMs: number
  readonly repetitions: number
}

const THOUGHTS = 16
const NEIGHBOURS = 8
const LATENTS = 15
const LONG_LATENTS = 300
const STEPS = 12
const REPETITIONS = 12
const WARM_UP = 3
const SEED = 72

/** @param database an open, migrated database, to which episodes are added */
export async function measureRequestCosts(database: Database): Promise<readonly RequestCost[]> {
  const random = createRandom(SEED)
  const draw = (length: number) => Float32Array.from({ length }, () => random.gaussian())
  const latents = (length: number) => ({ data: draw(length * WIDTH), length, width: WIDTH })
  const thoughts = Array.from({ length: THOUGHTS }, () => {
    return { data: draw(LAYERS * WIDTH), layers: LAYERS, width: WIDTH }
  })
  const direction = draw(WIDTH)
  const length = norm(direction)
  const embedding = direction.map((one) => one / length)
  const store = createEpisodeStore({ database })
  const zBase = latents(LATENTS)
  const episode = (): NewEpisode => ({
    id: randomUUID(),
    tenantId: 'bench',
    fingerprint: 'artificial-7b',
    judgeFingerprint: 'bench',
    answerRules: '',
    modelId: 'artificial-7b',
    strategy: 'lto',
    question: 'What is 1 + 1?',
    reference: null,
    embedding,
    answer: '2',
    reasoning: 'The answer is 2.',
    reward: -0.01,
    baseReward: null,
    iterations: 0,
    evaluations: THOUGHTS,
    generatedTokens: 64,
    stopped: 'reward',
    seed: 1,
    admitted: true,
    candidates: thoughts.map((thought, position) => ({
      kind: 'sample',
      tokens: Array.from({ length: 256 }, (_, index) => index),
      text: 'The answer is 2.',
      answer: '2',
      reward: -0.01,
      rewardTerms: { verifier: -0.01 },
      logProbability: -0.1,
      selfCertainty: 12,
      chosen: position === 0,
      meetsAdmission: true,
      thought,
    })),
    latents: { zBase, zStar: latents(LATENTS) },
  })
  for (let index = 0; index < NEIGHBOURS; index++) await store.add(episode())
  const neighbours = Array.from({ length: NEIGHBOURS }, (_, index) => ({
    neighbour: {
      episodeId: String(index),
      similarity: 0.9,
      zBase: latents(LATENTS),
      zStar: latents(LATENTS),
    },
    weight: 1 / NEIGHBOURS,
  }))
  const path = Array.from({ length: STEPS }, () => draw(LONG_LATENTS * WIDTH))
  const logger = pino({ level: 'silent' })
  await using parts = new AsyncDisposableStack()
  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
  parts.defer(() => trainer.close())
  const negate = await trainer.load(negation())
  const x = createTensor('float32', [THOUGHTS, LAYERS, WIDTH], draw(THOUGHTS * LAYERS * WIDTH))
  const rewardModel = await openRewardModel(trainer, linearProbe(), {
    version: 'bench',
    form: 'mean',
    layers: LAYERS,
    width: WIDTH,
  })
  const operations: Readonly<Record<string, () => unknown>> = {
    '16 thoughts to an engine process and back': () => negate.run({ x }, ['y']),
    'half precision can hold 16 thoughts': () =>
      thoughts.map((thought) => fitFloat16({ ...thought, length: thought.layers })),
    'reward model scores 16 thoughts': () => rewardModel.score(thoughts),
    'Chain-of-Embedding of 16 thoughts': () => thoughts.map(coeComplex),
    'commit of 16 thoughts': () => store.add(episode()),
    'retrieval of 8 neighbours of 15 latents': () =>
      store.nearest({
        tenantId: 'bench',
        fingerprint: 'artificial-7b',
        embedding,
        topK: NEIGHBOURS,
        minSimilarity: 0,
      }),
    'momentum of 8 neighbours of 15 latents': () =>
      transferMomentum({ embedding, zBase }, neighbours, {
        weaver: identityWeaver,
        momentum: 'residual',
        maxShift: 1,
      }),
    'explain: 12 steps of 300 latents': () => projectLatents(path),
  }
  const costs: RequestCost[] = []
  for (const [operation, run] of Object.entries(operations)) {
    const stretches: number[] = []
    for (let repetition = 0; repetition < WARM_UP + REPETITIONS; repetition++) {
      const stretch = await longestStretch(run)
      if (repetition >= WARM_UP) stretches.push(stretch)
    }
    stretches.sort((a, b) => a - b)
    costs.push({
      operation,
      medianMs: stretches[Math.floor(stretches.length / 2)] ?? Number.NaN,
      maxMs: stretches.at(-1) ?? Number.NaN,
      repetitions: REPETITIONS,
    })
  }
  return costs
}

/** Longest processor time, in ms, of this thread between two turns of its event loop. */
async function longestStretch(run: () => unknown): Promise<number> {
  let longest = 0
  let last = process.threadCpuUsage()
  const tick = () => {
    const { user, system } = process.threadCpuUsage(last)
    longest = Math.max(longest, (user + system) / 1000)
    last = process.threadCpuUsage()
  }
  const timer = setInterval(tick, 1)
  await setTimeout(5)
  longest = 0
  await run()
  await setTimeout(2)
  clearInterval(timer)
  return longest
}

function negation(): Uint8Array {
  const tape = createTape(['x'])
  tape.outputs(['y'], 'Neg', ['x'])
  const shape = ['N', LAYERS, WIDTH] as const
  const graph = tape.graph({
    name: 'negation',
    inputs: [value('x', 'float32', shape)],
    outputs: [value('y', 'float32', shape)],
  })
  return encodeModel(createModel(graph, { '': 17 }))
}

function linearProbe(): Uint8Array {
  const architecture = {
    kind: 'linear',
    layers: LAYERS,
    width: WIDTH,
    hidden: 4,
    heads: 1,
    blocks: 1,
    feedForward: 4,
  } as const
  const ones = createTensor('float32', [LAYERS, WIDTH], new Float32Array(LAYERS * WIDTH).fill(1))
  const standard = { mean: ones, inverseDeviation: ones }
  const parameters = createParameters(architecture, SEED)
  return encodeModel(compileRewardModel(architecture, standard, [parameters], UNCALIBRATED))
}
