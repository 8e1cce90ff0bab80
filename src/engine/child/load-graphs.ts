/**
 * @file Loads a model into ONNX Runtime: reads the step graph, compiles the graphs for serving, creates their
 * sessions.
 */

import { realpath, stat } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import {
  compileGeneration,
  compileHead,
  compileHeadLogits,
  describeDecoder,
  findOneTokenAttentions,
  maskTokens,
} from '#decoder'
import { externalDataLocations, type Model, relocateExternalData, type StoredTensor } from '#onnx'
import type { ServeOptions } from '../protocol.ts'
import { linkStepGraph, readStepGraph, stepGraphFiles, withReadableHead } from '../read-graph.ts'
import { createGenerationGraph } from './generation-graph.ts'
import { createHeadGraph } from './head-graph.ts'
import type { KvLayout } from './key-values.ts'
import { checkMemory, memoryLimit } from './memory.ts'
import { createSession } from './onnx-runtime.ts'
import { type Graphs, tryGraphs } from './try-graphs.ts'

/** Size of a model below which each operator finishes before a second thread has started. */
const SMALL_MODEL_BYTES = 32 * 2 ** 20
/** Smaller tensors are copied: the graph toolkit reads some of them, and their size does not matter. */
const SMALL_TENSOR_BYTES = 64 * 2 ** 10

/**
 * Returns the threads of one of `replicas` processes; null: those that ONNX Runtime takes by itself, one for each core of the
 * machine. It knows no CPU affinity and no CPU quota of a container: threads beyond those wait for each other in every product.
 */
export function threadsOfProcess(
  replicas: number,
  available = availableParallelism(),
  onMachine = cpus().length,
): number | null {
  return replicas === 1 && available >= onMachine ? null : Math.ceil(available / replicas)
}

/**
 * Compiles and loads the graphs of one model on one provider. The weights stay in their files: compiled
 * graphs refer to the same external data, or to the bytes in the model's own file.
 *
 * Peak memory while loading, on the CPU with fp32 weights of 232 MiB (61M, 32k words) in a process of 150
 * MiB: 1,760 MiB with weights inside the compiled graphs; 1,100 with weights left in their file; 860 if also
 * the heads are not prepacked; 620 if also the bytes of the file are freed first, as here. Serving 8 rows
 * takes 730. With prepacking, a step of ascent on 4 latents would take half as long (27 ms instead of 56, in
 * an iteration of seconds) for 100 to 150 MiB more. Generation is prepacked: without it 420, but steps of 8
 * rows take 1.4 to 1.6 times as long.
 *
 * A model whose weights do not fit into memory is refused before a session loads them.
 *
 * Runs every graph once, so that a model that loads and cannot run is refused here.
 *
 * @param memory upper bound on the memory of all processes of the model, in bytes
 * @throws ServiceError ONNX_INVALID, MODEL_UNSUPPORTED, SESSION_FAILED
 */
export async function loadGraphs(
  options: ServeOptions,
  provider: 'cpu' | 'cuda',
  memory = memoryLimit(),
): Promise<LoadedGraphs> {
  const { sizes, cudaDevice } = options
  const compiled = await compileGraphs(options, provider)
  // On CUDA the weights pass through mapped files, and the memory of the device is not known here.
  if (provider === 'cpu') checkMemory(compiled.weights, options.replicas, memory)
  // The bytes of the model file, as large as the weights, are garbage now: free them before the weights are
  // loaded.
  globalThis.gc?.()
  const threads = options.threads ?? (compiled.isSmall ? 1 : threadsOfProcess(options.replicas))
  const sessionOptions = { provider, cudaDevice, threads, dataFolder: compiled.dataFolder }
  // Sequential, because each load holds a second copy of the weights while it packs them.
  const generation = await createSession(compiled.generation, sessionOptions)
  // A quantised product must be prepacked: unpacked, it is dequantised in each run, and it picks other tokens than
  // that of generation (`compileHeadLogits`). A dense W of folded constants is 8 times as large as one in int4.
  const prepacking = compiled.isHeadQuantized
  const step = await createSession(compiled.step, { ...sessionOptions, prepacking, folding: !prepacking })
  const logits = await createSession(compiled.logits, { ...sessionOptions, prepacking })
  const graphs: LoadedGraphs = {
    weights: compiled.weights,
    queryHeads: compiled.queryHeads,
    head: createHeadGraph({ step, logits }, sizes.hiddenSize),
    generation: createGenerationGraph(generation, {
      layout: compiled.layout,
      padding: compiled.padding,
      keepsPast: compiled.keepsPast,
      maxWidth: compiled.maxWidth,
      hiddenSize: sizes.hiddenSize,
      thoughtLayers: compiled.thoughtLayers,
      core: compiled.core,
      eosTokenIds: sizes.eosTokenIds,
      padTokenId: sizes.padTokenId,
    }),
  }
  await tryGraphs(graphs, options)
  return graphs
}

async function compileGraphs(options: ServeOptions, provider: 'cpu' | 'cuda') {
  const { graphFile, config, sizes, recurrence: profile = null } = options
  const parts: Located[] = []
  const files = stepGraphFiles(graphFile)
  for (const file of files) parts.push(await readLocated(file, file === files.at(-1)))
  const dataFolder = commonFolder(parts.flatMap(({ dataFiles }) => dataFiles))
  const models = parts.map((part) => movedTo(part, dataFolder))
  const { model: located, recurrence } = linkStepGraph(models, profile?.maxSteps ?? null)
  const { model, description } = maskTokens(
    located,
    describeDecoder(located, config, recurrence),
    sizes.unusedTokens,
  )
  const attentions = provider === 'cpu' ? findOneTokenAttentions(model.graph, description) : null
  const isHeadQuantized = description.head.projection.kind === 'quantized'
  const real = await Promise.all(files.map((file) => realpath(file)))
  const weights = await totalBytes([...new Set([...real, ...parts.flatMap(({ dataFiles }) => dataFiles)])])
  const layout: KvLayout = {
    layers: description.layers,
    heads: description.keyValueHeads,
    headSize: description.headSize,
    type: description.dtype,
    recurrence,
  }
  return {
    generation: compileGeneration(model, description, attentions),
    step: compileHead(model, description),
    logits: compileHeadLogits(model, description),
    isHeadQuantized,
    weights,
    queryHeads: Number(config['num_attention_heads'] ?? config['n_head'] ?? layout.heads),
    layout,
    padding: description.padding,
    keepsPast: attentions !== null,
    maxWidth: description.maxWidth,
    thoughtLayers: description.layerStates?.length ?? 0,
    core: recurrence &&
      profile && { ...profile, stateSize: recurrence.stateSize, maxSteps: recurrence.maxSteps },
    dataFolder,
    isSmall: weights < SMALL_MODEL_BYTES,
  }
}

export interface LoadedGraphs extends Graphs {
  /** Bytes of the graph and its external data. */
  readonly weights: number
  /** Heads of the attention's queries, each of which has scores; those of keys where `config.json` has none. */
  readonly queryHeads: number
}

/** A graph whose large weights are external data in `dataFolder`. */
interface Located {
  readonly model: Model
  readonly dataFolder: string
  /** Files of the weights, by real paths: the graph's own, or those of its external data. */
  readonly dataFiles: readonly string[]
}

/** @param hasHead whether the graph has the LM head, which is read in the form that the decoder room understands */
async function readLocated(file: string, hasHead: boolean): Promise<Located> {
  const { model, bytes } = await readStepGraph(file)
  const stored = hasHead ? withReadableHead(model, file) : model
  const locations = externalDataLocations(stored)
  return locations.length > 0
    ? await realExternalData(stored, dirname(file), locations)
    : await ownFileAsData(stored, bytes, file)
}

/** Refers to the weights in the model's own file: without external data they are all there. */
async function ownFileAsData(stored: Model, file: Uint8Array, graphFile: string): Promise<Located> {
  const home = await realpath(graphFile)
  return {
    model: externalizeInitializers(stored, file, basename(home)),
    dataFolder: dirname(home),
    dataFiles: [home],
  }
}

/**
 * Refers to external data by real paths. ONNX Runtime refuses links that leave the folder of the data, and in
 * the cache of Hugging Face every file is a link to `../../blobs`.
 */
async function realExternalData(
  stored: Model,
  folder: string,
  locations: readonly string[],
): Promise<Located> {
  const dataFiles = await Promise.all(locations.map((location) => realpath(join(folder, location))))
  const dataFolder = commonFolder(dataFiles)
  const places = new Map(
    locations.map((location, index) => [location, relative(dataFolder, dataFiles[index]!)]),
  )
  const model = relocateExternalData(stored, (location) => places.get(location)!)
  return { model, dataFolder, dataFiles }
}

/** Returns the model with its data in a folder further out. */
function movedTo({ model, dataFolder }: Located, folder: string): Model {
  if (dataFolder === folder) return model
  return relocateExternalData(model, (location) => relative(folder, join(dataFolder, location)))
}

/** Returns the innermost folder that holds all files. */
function commonFolder(files: readonly string[]): string {
  let folder = dirname(files[0]!)
  while (files.some((file) => relative(folder, file).startsWith('..'))) folder = dirname(folder)
  return folder
}

/**
 * Replaces the large initializers of a model by references to their bytes in the model's own file, as ONNX
 * external data. ONNX Runtime maps that file into memory; otherwise each compiled graph would hold a copy of
 * its weights (figures: `loadGraphs`).
 *
 * @param model decoded from `file`
 * @param location name of the file, relative to the folder of the graph's external data
 */
export function externalizeInitializers(model: Model, file: Uint8Array, location: string): Model {
  const externalize = (tensor: StoredTensor): StoredTensor => {
    const { bytes } = tensor
    if (bytes.buffer !== file.buffer || bytes.length < SMALL_TENSOR_BYTES) return tensor
    const external = new Map([
      ['location', location],
      ['offset', String(bytes.byteOffset - file.byteOffset)],
      ['length', String(bytes.length)],
    ])
    return { ...tensor, bytes: new Uint8Array(), external }
  }
  const initializers = new Map(
    [...model.graph.initializers].map(([name, tensor]) => [name, externalize(tensor)] as const),
  )
  return { ...model, graph: { ...model.graph, initializers } }
}

async function totalBytes(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
