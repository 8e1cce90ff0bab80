/** @file From a model directory to sessions: read the step graph, compile what serving needs, load it. */

import { readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { compileGeneration, compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import { ServiceError } from '#errors'
import { decodeModel, externalDataLocations, type Model } from '#onnx'
import type { ServeOptions } from '../protocol.ts'
import { createGenerationGraph } from './generation-graph.ts'
import { createHeadGraph, type HeadGraph } from './head-graph.ts'
import { createSession } from './onnx-runtime.ts'
import type { StepRunner } from './scheduler.ts'

export interface Graphs {
  readonly generation: StepRunner
  readonly head: HeadGraph
}

/** Operators of a model below this size are over before a second thread has woken up. */
const SMALL_MODEL_BYTES = 32 * 2 ** 20

/**
 * Compiles and loads the graphs of one model on one provider. The weights stay in their files: compiled graphs refer to
 * the same external data.
 *
 * @throws ServiceError ONNX_INVALID, MODEL_UNSUPPORTED, MODEL_INVALID when graph and config.json disagree, SESSION_FAILED
 */
export async function loadGraphs(options: ServeOptions, provider: 'cpu' | 'cuda'): Promise<Graphs> {
  const { sizes, cudaDevice } = options
  const model = decodeModel(await readFile(options.graphFile))
  const description = describeDecoder(model, options.config)
  if (description.hiddenSize !== sizes.hiddenSize || description.vocabularySize < sizes.vocabularySize) {
    throw new ServiceError(
      'MODEL_INVALID',
      `load model: expected the sizes of config.json (hidden_size ${sizes.hiddenSize}, vocab_size ${sizes.vocabularySize}) in ` +
        `${options.graphFile}, got ${description.hiddenSize} and ${description.vocabularySize}; use the config.json of this export`,
    )
  }
  const dataFolder = dirname(options.graphFile)
  const isSmall = (await weightBytes(options.graphFile, model)) < SMALL_MODEL_BYTES
  const share = options.replicas === 1 ? null : Math.ceil(availableParallelism() / options.replicas)
  const threads = options.threads ?? (isSmall ? 1 : share)
  const sessionOptions = { provider, cudaDevice, threads, dataFolder }
  const load = (graph: Uint8Array) => createSession(graph, sessionOptions)
  // One after the other: each load holds a second copy of the weights while it packs them.
  const generation = await load(compileGeneration(model, description))
  const step = await load(compileHead(model, description))
  const logits = await load(compileHeadLogits(model, description))
  return {
    head: createHeadGraph({ step, logits }, sizes.hiddenSize),
    generation: createGenerationGraph(generation, {
      layout: {
        layers: description.layers,
        heads: description.keyValueHeads,
        headSize: description.headSize,
        type: description.dtype,
      },
      padding: description.padding,
      hiddenSize: sizes.hiddenSize,
      eosTokenIds: sizes.eosTokenIds,
      padTokenId: sizes.padTokenId,
    }),
  }
}

async function weightBytes(graphFile: string, model: Model): Promise<number> {
  const files = [graphFile, ...externalDataLocations(model).map((name) => join(dirname(graphFile), name))]
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
