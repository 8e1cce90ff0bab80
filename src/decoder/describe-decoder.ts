/**
 * @file Describes a Hugging Face decoder export: names, sizes, padding, LM head and layer states, read from
 * its graph.
 */

import { ServiceError } from '#errors'
import { allGraphs, DATA_TYPES, dataTypeName, type Graph, type Model, sortNodes, type Value } from '#onnx'
import { findLayerStates } from './layer-states.ts'
import { cacheHeads, RECURRENT_INPUTS, type Recurrence } from './link-recurrent.ts'
import { EXPORT_AGAIN, findLmHead, type LmHead } from './lm-head.ts'
import { findMaxWidth, type Padding, paddingOf } from './positions.ts'

export interface KeyValueNames {
  readonly key: string
  readonly value: string
}

/** Token ids in [from, to). */
export type TokenRange = readonly [from: number, to: number]

/** Plain data: names of values in the step graph, and the sizes of the caches. */
export interface DecoderDescription {
  readonly inputs: {
    readonly inputIds: string
    readonly attentionMask: string
    /** Null when the graph derives positions itself: from the mask, or from the length of the caches. */
    readonly positionIds: string | null
    /** Input with the number of last positions that get logits; fed 0 (= all). Null in most exports. */
    readonly logitsToKeep: string | null
    /** One pair per layer, `[B, K, P, h]`; `[B, R*K, P, h]` in a recurrent core. */
    readonly past: readonly KeyValueNames[]
  }
  readonly outputs: { readonly logits: string; readonly present: readonly KeyValueNames[] }
  /** Number of layers with a cache, L. */
  readonly layers: number
  /** Number of key/value heads, K. */
  readonly keyValueHeads: number
  /** Width of a head, h. */
  readonly headSize: number
  /** Element type of the caches. */
  readonly dtype: 'float32' | 'float16'
  readonly padding: Padding
  /**
   * Upper bound on the positions of a run, padding included; beyond it the graph computes the positions of all
   * rows in another way (long-context rope). Null: no bound.
   */
  readonly maxWidth: number | null
  readonly head: LmHead
  /** The core of a depth-recurrent model; null for an ordinary decoder. */
  readonly recurrence: Recurrence | null
  /**
   * The states of a latent thought, L + 1 values `[B, S, D]`: the input of every layer, and the input of the
   * LM head; of a depth-recurrent model R values, its states after every recurrence. Null when the layers cannot be
   * identified, or the states are not as wide as the latents; such a model serves without thoughts.
   */
  readonly layerStates: readonly string[] | null
  /** Number of tokens in the vocabulary, V. */
  readonly vocabularySize: number
  /** Width of the hidden states, D. */
  readonly hiddenSize: number
  /** Tokens that the compiled graphs make impossible (`maskTokens`), in order; none in an export. */
  readonly maskedTokens: readonly TokenRange[]
}

/** `config.json`; read for sizes that the graph leaves open. */
export type DecoderConfig = Readonly<Record<string, unknown>>

const MIN_OPSET = 13
/** Newest operator set of ai.onnx in ONNX Runtime 1.30, which refuses newer ones. */
export const MAX_OPSET = 26
/** Domains of the operators in ONNX Runtime. */
const KNOWN_DOMAINS = /^(|ai\.onnx\.ml|com\.microsoft(\..*)?)$/
/** Field of ModelProto with the functions of a model, which define operators of other domains. */
const FUNCTIONS_FIELD = 25
const KNOWN_INPUTS = [
  'input_ids',
  'attention_mask',
  'position_ids',
  'num_logits_to_keep',
  'logits_to_keep',
  'past_key_values.{i}.key',
  'past_key_values.{i}.value',
]

/**
 * Describes a decoder's step graph: one run maps tokens `[B, S]` and past caches to logits and present
 * caches.
 *
 * @param recurrence from `linkRecurrent`; null: an ordinary decoder
 * @throws ServiceError MODEL_UNSUPPORTED naming the expected part, the part that was found, and the most
 * similar names.
 */
export function describeDecoder(
  model: Model,
  config: DecoderConfig = {},
  recurrence: Recurrence | null = null,
): DecoderDescription {
  const { graph } = model
  const opset = model.opsetImports.get('') ?? 0
  if (opset < MIN_OPSET || opset > MAX_OPSET) {
    throw unsupported(
      `expected an operator set of ${MIN_OPSET} to ${MAX_OPSET}, got ${opset}; ${EXPORT_AGAIN} and --opset 18`,
    )
  }
  refuseCustomOperators(model)
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name))
  const past = keyValues(inputs, 'past_key_values', 'input')
  const present = keyValues(graph.outputs, 'present', 'output')
  if (present.length !== past.length) {
    throw unsupported(`expected ${past.length} layers of present caches, got ${present.length}`)
  }
  refuseUnknown(inputs, past, recurrence)
  refuseDynamicQuantization(graph)
  const logits = required(graph.outputs, 'logits', 'output')
  const { head, vocabularySize, hiddenSize, isPruned } = findLmHead(graph, logits.name)
  if (logits.type?.shape?.[1] === 1 && !isPruned) {
    throw unsupported(
      `expected logits of every position, got those of one; ${EXPORT_AGAIN} without pruning the LM head`,
    )
  }
  const maxWidth = findMaxWidth(graph)
  const inputIds = required(inputs, 'input_ids', 'input').name
  return {
    inputs: {
      inputIds,
      attentionMask: required(inputs, 'attention_mask', 'input').name,
      positionIds: inputs.find(({ name }) => name === 'position_ids')?.name ?? null,
      logitsToKeep: inputs.find(({ name }) => name.endsWith('logits_to_keep'))?.name ?? null,
      past,
    },
    outputs: { logits: 'logits', present },
    layers: past.length,
    ...cacheLayout(inputs, past, config, recurrence),
    padding: paddingOf(graph, maxWidth),
    maxWidth,
    head,
    recurrence,
    layerStates: recurrence
      ? statesOf(recurrence, hiddenSize)
      : findLayerStates(sortNodes.apply(model).graph, {
          inputIds,
          hidden: head.hidden,
          presentKeys: present.map(({ key }) => key),
        }),
    vocabularySize,
    hiddenSize,
    maskedTokens: [],
  }
}

/** A thought is read beside latents, so that its states must be as wide. */
function statesOf({ states, stateSize }: Recurrence, hiddenSize: number): readonly string[] | null {
  return stateSize === hiddenSize ? states : null
}

/** Returns the pairs `{stem}.{i}.key` and `{stem}.{i}.value`, i = 0, 1, ... */
function keyValues(values: readonly Value[], stem: string, kind: 'input' | 'output'): KeyValueNames[] {
  const pairs: KeyValueNames[] = []
  const names = new Set(values.map(({ name }) => name))
  while (names.has(`${stem}.${pairs.length}.key`)) {
    const pair = { key: `${stem}.${pairs.length}.key`, value: `${stem}.${pairs.length}.value` }
    required(values, pair.value, kind)
    pairs.push(pair)
  }
  if (pairs.length === 0) required(values, `${stem}.0.key`, kind)
  const strays = values.filter(({ name }) => name.startsWith(`${stem}.`)).length - 2 * pairs.length
  if (strays > 0) throw unsupported(`expected layers 0, 1, ... of ${stem}, got ${strays} other values`)
  return pairs
}

function refuseUnknown(
  all: readonly Value[],
  past: readonly KeyValueNames[],
  recurrence: Recurrence | null,
): void {
  const own: readonly string[] = recurrence === null ? [] : Object.values(RECURRENT_INPUTS)
  const inputs = all.filter(({ name }) => !own.includes(name))
  const known = new Set([...KNOWN_INPUTS, ...past.flatMap(({ key, value }) => [key, value])])
  const stranger = inputs.find(({ name }) => !known.has(name))
  if (stranger?.name === 'use_cache_branch') {
    throw unsupported(
      'expected one graph with caches, got a merged decoder, which chooses between two graphs by ' +
        `"use_cache_branch"; ${EXPORT_AGAIN}`,
    )
  }
  if (stranger) {
    throw unsupported(`expected no inputs other than ${KNOWN_INPUTS.join(', ')}, got "${stranger.name}"`)
  }
  for (const { name, type } of inputs.filter(({ name }) => !name.startsWith('past_key_values.'))) {
    if (type?.dataType !== DATA_TYPES.int64) {
      throw unsupported(`expected int64 for input "${name}", got ${dataTypeName(type?.dataType ?? 0)}`)
    }
  }
}

function cacheLayout(
  inputs: readonly Value[],
  past: readonly KeyValueNames[],
  config: DecoderConfig,
  recurrence: Recurrence | null,
): Pick<DecoderDescription, 'keyValueHeads' | 'headSize' | 'dtype'> {
  const layouts = past.flatMap(({ key, value }, layer) =>
    [key, value].map((name) => {
      const type = inputs.find((input) => input.name === name)?.type
      const shape = type?.shape
      if (shape?.length !== 4) {
        throw unsupported(`expected [B, K, P, h] for "${name}", got rank ${shape?.length ?? 'unknown'}`)
      }
      const all = shape[1]!
      const heads = typeof all === 'number' ? all / cacheHeads({ heads: 1, recurrence }, layer) : all
      return { dataType: type!.dataType, heads, size: shape[3]! }
    }),
  )
  const [first] = layouts
  const odd = layouts.findIndex((layout) => JSON.stringify(layout) !== JSON.stringify(first))
  if (odd > 0) throw unsupported(`expected caches of one shape and type, got another in layer ${odd >> 1}`)
  const { dataType, heads, size } = first!
  if (dataType !== DATA_TYPES.float32 && dataType !== DATA_TYPES.float16) {
    throw unsupported(`expected caches in float32 or float16, got ${dataTypeName(dataType)}`)
  }
  const queryHeads = number(config['num_attention_heads'])
  const configHeads = number(config['num_key_value_heads']) ?? queryHeads
  const width = number(config['hidden_size'])
  const configSize = number(config['head_dim']) ?? (width && queryHeads ? width / queryHeads : undefined)
  return {
    keyValueHeads: sizeOf('key/value heads (axis 1 of the caches)', heads, configHeads),
    headSize: sizeOf('head size (axis 3 of the caches)', size, configSize),
    dtype: dataType === DATA_TYPES.float32 ? 'float32' : 'float16',
  }
}

/** Returns a size from the graph, or from the config if the graph leaves it open. */
function sizeOf(what: string, inGraph: unknown, inConfig: number | undefined): number {
  const size = number(inGraph) ?? inConfig
  if (size === undefined) throw unsupported(`expected ${what} in the graph or config.json, got neither`)
  return size
}

/** Throws for operators that neither ONNX Runtime nor the model defines. */
function refuseCustomOperators({ graph, extra = [] }: Model): void {
  if (extra.some((field) => (field as { readonly no: number }).no === FUNCTIONS_FIELD)) return
  const node = allGraphs(graph)
    .flatMap(({ nodes }) => nodes)
    .find(({ domain }) => !KNOWN_DOMAINS.test(domain))
  if (!node) return
  throw unsupported(
    `expected operators of ONNX and of com.microsoft, got ${node.opType} "${node.name}" of ${node.domain}; ${EXPORT_AGAIN}`,
  )
}

/** Throws for ops that quantise activations with one scale for the whole batch. */
function refuseDynamicQuantization(graph: Graph): void {
  const node = allGraphs(graph)
    .flatMap(({ nodes }) => nodes)
    .find(({ opType }) => opType.startsWith('DynamicQuantize'))
  if (!node) return
  throw unsupported(
    `expected rows that do not change each other, got ${node.opType} "${node.name}" (dynamic int8), whose scale ` +
      `covers the whole batch; take the q4, fp16 or fp32 variant of the model, or ${EXPORT_AGAIN}`,
  )
}

const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

function required(values: Graph['inputs'], name: string, kind: 'input' | 'output'): Value {
  const found = values.find((value) => value.name === name)
  if (!found) throw unsupported(`expected an ${kind} "${name}"${listed(name, values)}`)
  return found
}

function listed(name: string, values: readonly Value[]): string {
  const nearest = nearestNames(
    name,
    values.map((value) => value.name),
  )
  return `, got ${values.length} others${nearest.length > 0 ? `, nearest: ${nearest.join(', ')}` : ''}`
}

/** Returns at most three of `candidates`, most similar first, by Dice's coefficient over pairs of letters. */
function nearestNames(name: string, candidates: readonly string[]): string[] {
  const wanted = pairs(name)
  const score = (candidate: string) => {
    const found = pairs(candidate)
    const shared = [...found].filter((pair) => wanted.has(pair)).length
    return (2 * shared) / (wanted.size + found.size || 1)
  }
  return candidates
    .map((candidate) => ({ candidate, score: score(candidate) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

function pairs(text: string): Set<string> {
  return new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2)))
}

function unsupported(detail: string): ServiceError {
  return new ServiceError('MODEL_UNSUPPORTED', `describe decoder: ${detail}`)
}
