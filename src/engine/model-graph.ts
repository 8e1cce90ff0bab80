/** @file Chooses the ONNX graph of a model directory: the first of its variants that the engine can serve. */

import { stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { type DecoderDescription, describeDecoder, RECURRENT_PARTS } from '#decoder'
import { coerceError, ServiceError } from '#errors'
import { externalDataSizes, type Model } from '#onnx'
import { fileInside, type JsonObject, listing, modelInvalid, namesIn } from './model-files.ts'
import { linkStepGraph, readStepGraph, stepGraphFiles, withReadableHead } from './read-graph.ts'

/** A step graph that the engine understands. */
export interface ModelGraph {
  readonly file: string
  /** Files with its external data, and of a depth-recurrent model, whose prelude is `file`, the other graphs. */
  readonly weightFiles: readonly string[]
  readonly description: DecoderDescription
  /** Sentence for the log: which of several graphs was chosen, and why. Null when there is only one. */
  readonly choice: string | null
}

/** The graph by which a depth-recurrent model is found. */
const PRELUDE = `${RECURRENT_PARTS[0]}.onnx`
/** Variants in order of preference, full precision first; others follow by name. */
const PREFERRED = [PRELUDE, 'model.onnx', 'model_fp16.onnx', 'model_q4f16.onnx', 'model_q4.onnx']

/**
 * Returns the first graph that the engine can serve. Graphs are `model*.onnx`, and `prelude.onnx` with its two others, in `onnx/` (layout of the hub) and
 * in the directory itself (output of optimum-cli and of onnxruntime-genai); `onnx/` comes first.
 *
 * @param config sizes that a graph may leave open, from `config.json`
 * @param maxSteps `recurrence.maxSteps` of the profile; null: the profile is of an ordinary decoder
 * @throws ServiceError MODEL_INVALID when there is no graph, or all are damaged; MODEL_UNSUPPORTED when one is
 * intact and none can be served
 */
export async function chooseGraph(
  root: string,
  config: JsonObject,
  maxSteps: number | null = null,
): Promise<ModelGraph> {
  const files = await candidates(root)
  if (files.length === 0) throw await withoutGraph(root)
  const refused: { readonly name: string; readonly error: ServiceError }[] = []
  for (const file of files) {
    try {
      const graph = await describeFile(root, file, { config, maxSteps })
      return { ...graph, choice: choiceOf(relative(root, file), files.length, refused) }
    } catch (thrown) {
      if (!(thrown instanceof ServiceError)) throw thrown
      refused.push({ name: relative(root, file), error: thrown })
    }
  }
  const [first, ...others] = refused as [(typeof refused)[number]]
  if (others.length === 0) throw first.error
  const { code } = refused.find(({ error }) => error.code === 'MODEL_UNSUPPORTED')?.error ?? first.error
  throw new ServiceError(
    code,
    `load model: expected one of ${files.length} graphs to be servable, got ${refusals(refused)}`,
    { cause: first.error },
  )
}

async function candidates(root: string): Promise<string[]> {
  const hubNames = (await namesIn(join(root, 'onnx'))).map((name) => `onnx/${name}`)
  return graphCandidates([...hubNames, ...(await namesIn(root))]).map((path) => join(root, path))
}

/**
 * Returns the graphs among the files of a model, in the order in which `chooseGraph` tries them.
 *
 * @param paths relative to the model directory, with `/`
 */
export function graphCandidates(paths: readonly string[]): string[] {
  return ['onnx/', ''].flatMap((folder) => {
    const names = paths
      .filter((path) => path.startsWith(folder))
      .map((path) => path.slice(folder.length))
      .filter((name) => /^((model|decoder_model_merged)[^/]*|prelude)\.onnx$/.test(name))
      .sort()
    const preferred = PREFERRED.filter((name) => names.includes(name))
    return [...new Set([...preferred, ...names])].map((name) => folder + name)
  })
}

async function withoutGraph(root: string): Promise<ServiceError> {
  const names = [...(await namesIn(root)), ...(await namesIn(join(root, 'onnx')))]
  const part = RECURRENT_PARTS.find((name) => names.includes(`${name}.onnx`))
  if (part !== undefined) {
    return modelInvalid(`${PRELUDE} beside ${part}.onnx`, 'none', 'copy all three graphs of the model')
  }
  return modelInvalid(
    `an ONNX graph with a KV cache, model.onnx in ${root} or in its folder onnx`,
    `${await listing(root)}; in onnx: ${await listing(join(root, 'onnx'))}`,
    'export the model for text generation with past (optimum-cli export onnx --task text-generation-with-past)',
  )
}

async function describeFile(
  root: string,
  file: string,
  { config, maxSteps }: { readonly config: JsonObject; readonly maxSteps: number | null },
): Promise<Omit<ModelGraph, 'choice'>> {
  const files = stepGraphFiles(file)
  const names = await namesIn(dirname(file))
  const missing = files.slice(1).find((part) => !names.includes(basename(part)))
  if (missing !== undefined) {
    throw modelInvalid(`${basename(missing)} beside ${file}`, 'none', 'copy all three graphs of the model')
  }
  const models: Model[] = []
  const weightFiles = new Set(files.slice(1))
  for (const part of files) {
    const { model, data } = await readPart(root, part)
    models.push(model)
    for (const each of data) weightFiles.add(each)
  }
  models.push(withReadableHead(models.pop()!, files.at(-1)!))
  const { model, recurrence } = linkStepGraph(models, maxSteps)
  return { file, weightFiles: [...weightFiles], description: describeDecoder(model, config, recurrence) }
}

/** Reads one graph; returns the files of its external data, whose sizes are checked. */
async function readPart(root: string, file: string): Promise<{ model: Model; data: readonly string[] }> {
  let model: Model
  let sizes: ReadonlyMap<string, number>
  try {
    ;({ model } = await readStepGraph(file))
    sizes = externalDataSizes(model)
  } catch (thrown) {
    throw modelInvalid(
      `an ONNX model in ${file}`,
      coerceError(thrown).message,
      'export the model again with `optimum-cli export onnx --task text-generation-with-past --model MODEL FOLDER` ' +
        '(a file of a few hundred bytes is a Git LFS pointer: fetch it with git lfs pull)',
      thrown,
    )
  }
  const data: string[] = []
  for (const [location, needed] of [...sizes].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const weights = await fileInside(root, dirname(file), location, `the external data of ${file}`)
    const { size } = await stat(weights)
    if (!(size >= needed)) {
      throw modelInvalid(
        Number.isNaN(needed)
          ? `weights of ${file} in places of ${location}`
          : `${needed} bytes or more in ${weights}`,
        Number.isNaN(needed) ? 'an offset or a length that cannot be' : `${size} bytes`,
        'copy the graph and its data again, both from one export',
      )
    }
    data.push(weights)
  }
  return { model, data }
}

function choiceOf(
  name: string,
  count: number,
  refused: readonly { readonly name: string; readonly error: Error }[],
): string | null {
  if (count === 1) return null
  const reason = refused.length === 0 ? 'the first in the order of preference' : refusals(refused)
  return `serving ${name}, one of ${count} graphs: ${reason}`
}

function refusals(refused: readonly { readonly name: string; readonly error: Error }[]): string {
  return refused.map(({ name, error }) => `${name} was refused (${error.message})`).join('; ')
}
