/**
 * @file Experiments measured before anything is built: the ascent as one Loop, tokens per run, weights in
 * four bits.
 */

import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import { type Engine, loadModelDirectory } from '#engine'
import { concurrently } from '#evaluation'
import { decodeModel } from '#onnx'
import type { AscentRequest } from '#ports'
import { createRandom, createTensor, dot, float32, int64, norm } from '#tensor'
import { ADAM } from '../../src/algorithms/latent-seek/ascent.ts'
import { createHeadGraph } from '../../src/engine/child/head-graph.ts'
import { loadGraphs } from '../../src/engine/child/load-graphs.ts'
import { createSession, type Session } from '../../src/engine/child/onnx-runtime.ts'
import { createScheduler } from '../../src/engine/child/scheduler.ts'
import { printTable } from '../report/table.ts'
import { compileAscentLoop } from './ascent-loop.ts'
import { type BenchModel, bundledModel, generateOnce, largerModel, promptOf } from './models.ts'
import { startProbedEngine } from './probed-engine.ts'

interface Effort {
  readonly repeats: number
}

export async function measureExperiments(effort: Effort): Promise<unknown> {
  return {
    ascent: await ascentAsLoop(effort),
    chunks: await chunkSizes(effort),
    int4: await fourBits(effort),
  }
}

/** Compares the head step run by run, as in the engine, with all steps in one run. */
async function ascentAsLoop({ repeats }: Effort) {
  const rows = []
  for (const [model, lengths] of [
    [bundledModel(), [2]],
    [await largerModel(), [4, 25]],
  ] as const) {
    const { byRun, loop, hiddenSize, vocabularySize } = await loadHeads(model)
    for (const length of lengths) {
      for (const steps of [1, 10]) {
        const request = ascentOf(length, hiddenSize, vocabularySize, steps)
        const [one, other] = [await byRun.ascend(request), await runLoop(loop, request)]
        const difference = Math.max(
          ...one.latents.data.map((value, index) => Math.abs(value - (other[index] ?? 0))),
        )
        const [runMs, loopMs] = await fastest(repeats, [
          () => byRun.ascend(request),
          () => runLoop(loop, request),
        ])
        rows.push([
          model.name,
          length,
          steps,
          runMs / steps,
          loopMs / steps,
          runMs / loopMs,
          difference.toExponential(1),
        ])
      }
    }
  }
  printTable(
    'Ascent: one run per update against one Loop, ms per update, fastest',
    ['model', 'latents', 'updates', 'runs', 'Loop', 'ratio', 'largest difference of z'],
    rows,
  )
  return rows
}

async function loadHeads({ directory, threads }: BenchModel) {
  const { graphFile, config } = await loadModelDirectory(directory)
  const model = decodeModel(await readFile(graphFile))
  const description = describeDecoder(model, config)
  const load = (graph: Uint8Array) =>
    createSession(graph, { provider: 'cpu', cudaDevice: 0, threads, dataFolder: dirname(graphFile) })
  const step = await load(compileHead(model, description))
  const logits = await load(compileHeadLogits(model, description))
  const { hiddenSize, vocabularySize } = description
  return {
    hiddenSize,
    vocabularySize,
    byRun: createHeadGraph({ step, logits }, hiddenSize),
    loop: await load(compileAscentLoop(model, description)),
  }
}

function ascentOf(length: number, width: number, vocabulary: number, maxSteps: number): AscentRequest {
  const random = createRandom(67)
  const size = length * width
  return {
    ...ADAM,
    latents: { data: Float32Array.from({ length: size }, () => random.gaussian()), length, width },
    adam: { m: new Float32Array(size), v: new Float32Array(size), step: 0 },
    actions: [Array.from({ length }, () => Math.floor(random.uniform() * vocabulary))],
    advantages: [-1],
    maxSteps,
    untilChanged: false,
    lr: 0.01,
    beta1: 0.9,
    temperature: 1,
  }
}

async function runLoop(session: Session, request: AscentRequest): Promise<Float32Array> {
  const { latents, adam, actions } = request
  const state = (data: Float32Array) =>
    createTensor('float32', [latents.length, latents.width], data as Float32Array<ArrayBuffer>)
  const feeds = {
    z: state(latents.data),
    m: state(adam.m),
    v: state(adam.v),
    step: float32(adam.step),
    actions: createTensor(
      'int64',
      [actions.length, latents.length],
      BigInt64Array.from(actions.flat(), BigInt),
    ),
    advantages: float32(request.advantages),
    lr: float32(request.lr),
    beta1: float32(request.beta1),
    beta2: float32(request.beta2),
    epsilon: float32(request.epsilon),
    temperature: float32(request.temperature),
    max_steps: int64(request.maxSteps),
    until_changed: createTensor('bool', [], Uint8Array.of(Number(request.untilChanged))),
  }
  const fetched = await session.run(feeds, ['z_next', 'm_next', 'v_next', 'tokens'])
  return fetched.z_next.data as Float32Array
}

const CHUNK_TOKENS = 32

/**
 * Times by tokens per run on the larger decoder, where a run is long; the micro bench has the bundled model.
 */
async function chunkSizes({ repeats }: Effort) {
  const model = await largerModel()
  const { graphFile, config, sizes, codec, info } = await loadModelDirectory(model.directory)
  const options = {
    graphFile,
    config,
    sizes,
    executionProvider: 'cpu',
    cudaDevice: 0,
    threads: model.threads,
    replicas: 1,
  } as const
  const graphs = await loadGraphs(options, 'cpu')
  const prompts = model.questions(8).map((question) => promptOf({ codec, model: info }, question))
  const decode = (rows: number, chunk: number) => () => {
    const scheduler = createScheduler({
      runner: graphs.generation,
      eosTokenIds: [],
      limits: { maxRunningRows: 64, chunkTokens: [chunk, chunk], runMs: 0, maxInputTokens: 4096 },
    })
    return Promise.all(
      prompts.slice(0, rows).map((input, seed) =>
        scheduler.submit({
          past: null,
          input,
          decode: { temperature: 0, seed, maxNewTokens: CHUNK_TOKENS, latents: 4 },
          keepCache: true,
          signal: new AbortController().signal,
        }),
      ),
    )
  }
  const rows = []
  for (const chunk of [1, 8, 32]) {
    const times = []
    for (const count of [1, 8]) times.push((await fastest(repeats, [decode(count, chunk)]))[0] / CHUNK_TOKENS)
    rows.push([chunk, ...times])
  }
  printTable(`Tokens per run, ${model.name}: fastest ms per step`, ['chunk', '1 row', '8 rows'], rows)
  return rows
}

/** Compares weights in four bits with the same decoder in fp32, in the engine as served. */
async function fourBits({ repeats }: Effort) {
  const rows = []
  let exact: Float32Array | null = null
  for (const weights of ['fp32', 'int4'] as const) {
    const model = await largerModel(weights)
    const started = performance.now()
    await using probed = await disposable(model)
    const loadMs = performance.now() - started
    const { engine } = probed
    const prompts = model.questions(16).map((question) => promptOf(engine, question))
    const state = await stateOf(engine, prompts[0] ?? [])
    exact ??= state
    const rate = async (count: number) => {
      let tokens = 0
      const [ms] = await fastest(repeats, [
        async () => {
          const answers = await concurrently(prompts.slice(0, count), count, (prompt) =>
            generateOnce(engine, prompt, model.maxNewTokens),
          )
          tokens = answers.flat().length
        },
      ])
      return (1000 * tokens) / ms
    }
    const [alone, together] = [await rate(1), await rate(16)]
    const { rssBytes } = await probed.read()
    rows.push([model.name, loadMs, rssBytes / 2 ** 20, alone, together, cosine(state, exact)])
  }
  printTable(
    'Four bits on the CPU',
    [
      'model',
      'load ms',
      'engine RSS MiB',
      'tokens/s, 1',
      'tokens/s, 16 at once',
      'cosine of a hidden state to fp32',
    ],
    rows,
  )
  return rows
}

async function stateOf(engine: Engine, prompt: readonly number[]): Promise<Float32Array> {
  const session = await engine.open(prompt, { signal: new AbortController().signal })
  try {
    return await session.embed()
  } finally {
    session.close()
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / (norm(a) * norm(b))
}

async function disposable(model: BenchModel) {
  const probed = await startProbedEngine(model)
  return { ...probed, [Symbol.asyncDispose]: () => probed.close() }
}

type Task = () => Promise<unknown>

/** Fastest of `repeats` of each task in ms, in turns, after one to warm up. */
async function fastest<const Tasks extends readonly Task[]>(
  repeats: number,
  tasks: Tasks,
): Promise<{ [Index in keyof Tasks]: number }> {
  const times = tasks.map(() => Number.POSITIVE_INFINITY)
  for (let index = -1; index < repeats; index++) {
    for (const [at, task] of tasks.entries()) {
      const started = performance.now()
      await task()
      if (index >= 0) times[at] = Math.min(times[at] ?? 0, performance.now() - started)
    }
  }
  return times as { [Index in keyof Tasks]: number }
}
