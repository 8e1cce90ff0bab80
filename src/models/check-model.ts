/** @file Checks a model directory as the service does at start, and reports what it found. */

import { stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { type Logger, pino } from 'pino'
import {
  bytesPerPosition,
  createEngine,
  type EngineOptions,
  inspectModelDirectory,
  type ModelDirectory,
  SIDE_FILES,
  templateTurns,
} from '#engine'
import { ServiceError } from '#errors'
import { dataTypeName } from '#onnx'
import type { ModelFacts, ModelReport, ModelRun } from './model-report.ts'

/** Settings of the service by which it may refuse a model. */
export type CheckOptions = Pick<
  EngineOptions,
  'executionProvider' | 'cudaDevice' | 'memoryBytes' | 'replicas'
>

/** Batch sizes and widths (P + T) of the memory estimate; the model's context length is added. */
const ROWS = [1, 8, 32]
const TOKENS = [1024, 4096]
const DECODED_TOKENS = 8

/**
 * Reads the directory, loads the model into an engine process, which runs every graph once, and decodes a few
 * tokens of the solver's prompt. Faults are the errors with which the service would refuse the directory.
 */
export async function checkModel(directory: string, options: CheckOptions): Promise<ModelReport> {
  const inspected = await inspectModelDirectory(directory)
  if (Array.isArray(inspected)) {
    const faults = inspected.map(({ message }) => message)
    return { directory, servable: false, faults, model: null, run: null }
  }
  const model = await readFacts(inspected)
  try {
    return { directory, servable: true, faults: [], model, run: await runModel(inspected, options) }
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown
    return { directory, servable: false, faults: [thrown.message], model, run: null }
  }
}

/** Returns the facts that its files give about a model. */
export async function readFacts(directory: ModelDirectory): Promise<ModelFacts> {
  const { info, sizes, codec, description, graphFile, weightFiles, warning, notes } = directory
  const { inputs, outputs, head, layers, keyValueHeads, headSize, dtype } = description
  const nameOf = (file: string) => relative(info.directory, file)
  const { mean } = info.profile.embedding
  const names = [...SIDE_FILES, ...(mean === null ? [] : [mean]), ...[graphFile, ...weightFiles].map(nameOf)]
  const found = await Promise.all(names.map((path) => sizeIfThere(info.directory, path)))
  const files = found.filter((file) => file !== null)
  const weights = new Set([graphFile, ...weightFiles].map(nameOf))
  const weightBytes = files.reduce((sum, { path, bytes }) => sum + (weights.has(path) ? bytes : 0), 0)
  const { recurrence } = description
  const positionBytes = bytesPerPosition({ layers, heads: keyValueHeads, headSize, type: dtype, recurrence })
  const { inputIds, attentionMask, positionIds, logitsToKeep, past } = inputs
  const messages = templateTurns(info.profile.solver)
  return {
    id: info.id,
    fingerprint: info.fingerprint,
    judgeFingerprint: info.judgeFingerprint,
    layout: dirname(graphFile) === info.directory ? 'exporter' : 'hub',
    files,
    graph: nameOf(graphFile),
    externalData: weightFiles.map(nameOf),
    weightBytes,
    inputs: [inputIds, attentionMask, positionIds, logitsToKeep, ...namesOf(past)].filter(
      (name) => name !== null,
    ),
    outputs: [outputs.logits, ...namesOf(outputs.present)],
    head: {
      kind: head.projection.kind,
      dtype:
        head.projection.kind === 'quantized'
          ? `int${head.projection.bits}`
          : dataTypeName(head.projection.storedAs),
      vocabularySize: description.vocabularySize,
      hiddenSize: description.hiddenSize,
    },
    layers,
    core: recurrence && {
      maxSteps: recurrence.maxSteps,
      layers: recurrence.coreLayers[1] - recurrence.coreLayers[0],
    },
    layerStates: description.layerStates?.length ?? 0,
    cache: { heads: keyValueHeads, headSize, dtype, bytesPerPosition: positionBytes },
    padding: description.padding,
    contextLength: sizes.contextLength,
    tokenizer: { eosTokenIds: sizes.eosTokenIds, padTokenId: sizes.padTokenId },
    prompt: { text: codec.renderChat(messages), tokens: codec.encodeChat(messages).length },
    memory: estimateMemory(weightBytes, positionBytes, sizes.contextLength),
    profileSource: directory.profileSource,
    profile: info.profile,
    notes: [...(warning === null ? [] : [warning]), ...notes],
  }
}

function namesOf(pairs: readonly { readonly key: string; readonly value: string }[]): string[] {
  return pairs.flatMap(({ key, value }) => [key, value])
}

async function sizeIfThere(root: string, path: string): Promise<ModelFacts['files'][number] | null> {
  const entry = await stat(join(root, path)).catch(() => null)
  return entry === null ? null : { path, bytes: entry.size }
}

/** Returns weights + B x (P + T) x `positionBytes` for some batches B and widths P + T. */
function estimateMemory(
  weightBytes: number,
  positionBytes: number,
  contextLength: number,
): ModelFacts['memory'] {
  const widths = [...TOKENS.filter((tokens) => tokens < contextLength), contextLength]
  return ROWS.flatMap((rows) =>
    widths.map((tokens) => ({ rows, tokens, bytes: weightBytes + rows * tokens * positionBytes })),
  )
}

async function runModel(
  directory: ModelDirectory,
  { executionProvider, cudaDevice, memoryBytes = null, replicas = 1 }: CheckOptions,
): Promise<ModelRun> {
  const messages: string[] = []
  const start = performance.now()
  const engine = await createEngine({
    directory,
    executionProvider,
    cudaDevice,
    // One process, with the memory that each of the service has.
    memoryBytes: memoryBytes === null ? null : memoryBytes / replicas,
    logger: collectMessages(messages),
  })
  try {
    const loadMs = performance.now() - start
    const prompt = engine.codec.encodeChat(templateTurns(directory.info.profile.solver))
    const session = await engine.open(prompt, { signal: new AbortController().signal })
    const row = { prefix: [], temperature: 0, seed: 0, maxNewTokens: DECODED_TOKENS, latents: 0 }
    const decodeStart = performance.now()
    const [decoded] = await session.generate([row])
    const decodeMs = performance.now() - decodeStart
    session.close()
    const tokens = decoded?.tokens ?? []
    return {
      provider: engine.status().provider,
      providerReason: messages.find((message) => message.startsWith('execution provider')) ?? '',
      loadMs: Math.round(loadMs),
      text: engine.codec.decode(tokens),
      tokens: tokens.length,
      decodeMs: Math.round(decodeMs),
    }
  } finally {
    await engine.close()
  }
}

/** Returns a logger whose messages are added to a list instead of being written. */
function collectMessages(messages: string[]): Logger {
  return pino({ level: 'info' }, { write: (line: string) => void messages.push(JSON.parse(line).msg) })
}
