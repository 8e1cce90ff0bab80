/**
 * @file Describes a Hugging Face decoder export: names, sizes, padding, LM head and layer states, read from
 * its graph.
 */

import { ServiceError } from '#errors'
import { allGraphs, DATA_TYPES, dataTypeName, type Graph, type Model, sortNodes, type Value } from '#onnx'
import { findLayerStates } from './layer-states.ts'
import { findLmHead, type LmHead } from './lm-head.ts'

export interface KeyValueNames {
  readonly key: string
  readonly value: string
}

/** Plain data: names of values in the step graph, and the sizes of the caches. */
export interface DecoderDescription {
  readonly inputs: {
    readonly inputIds: string
    readonly attentionMask: string
    /**
     * Null when the graph derives positions from the mask (GroupQueryAttention with rotary positions inside).
     */
    readonly positionIds: string | null
    /** Input with the number of last positions that get logits; fed 0 (= all). Null in most exports. */
    readonly logitsToKeep: string | null
    /** One pair per layer, `[B, K, P, h]`. */
    readonly past: readonly KeyValueNames[]
  }
  readonly outputs: { readonly logits: string; readonly present: readonly KeyValueNames[] }
  /** Number of layers, L. */
  readonly layers: number
  /** Number of key/value heads, K. */
  readonly keyValueHeads: number
  /** Width of a head, h. */
  readonly headSize: number
  /** Element type of the caches. */
  readonly dtype: 'float32' | 'float16'
  /**
   * Permitted padding of the rows of one batch. `any`: the mask decides; left padding and holes are allowed.
   * `right` (GroupQueryAttention reads only the length of each row from the mask): the cached positions of a
   * row of length P_i are [0, P_i), later positions are never read, and the next token is cached at P_i.
   * Several tokens may be fed to several rows only while no row has a past.
   */
  readonly padding: 'any' | 'right'
  readonly head: LmHead
  /**
   * The states of a latent thought, L + 1 values `[B, S, D]`: the input of every layer, and the input of the
   * LM head. Null when the layers cannot be identified; such a model serves without thoughts.
   */
  readonly layerStates: readonly string[] | null
  /** Number of tokens in the vocabulary, V. */
  readonly vocabularySize: number
  /** Width of the hidden states, D. */
  readonly hiddenSize: number
}

/** `config.json`; only numbers that can be checked against the graph are read. */
export type DecoderConfig = Readonly<Record<string, unknown>>

const MIN_OPSET = 13
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
 * @throws ServiceError MODEL_UNSUPPORTED naming the expected part, the part that was found, and the most
 * similar names.
 */
export function describeDecoder(model: Model, config: DecoderConfig = {}): DecoderDescription {
  const { graph } = model
  const opset = model.opsetImports.get('') ?? 0
  if (opset < MIN_OPSET) {
    throw unsupported(`expected operator set ${MIN_OPSET} or newer, got ${opset}`)
  }
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name))
  const past = keyValues(inputs, 'past_key_values', 'input')
  const present = keyValues(graph.outputs, 'present', 'output')
  if (present.length !== past.length) {
    throw unsupported(`expected ${past.length} layers of present caches, got ${present.length}`)
  }
  refuseUnknown(inputs, past)
  const padding = allGraphs(graph).some(({ nodes }) =>
    nodes.some(({ opType }) => opType === 'GroupQueryAttention'),
  )
    ? 'right'
    : 'any'
  const positionIds = inputs.find(({ name }) => name === 'position_ids')
  if (!positionIds && padding === 'any') {
    throw unsupported(`expected an input "position_ids"${listed('position_ids', inputs)}`)
  }
  const { head, vocabularySize, hiddenSize } = findLmHead(
    graph,
    required(graph.outputs, 'logits', 'output').name,
  )
  checkConfig(config, 'num_hidden_layers', past.length)
  checkConfig(config, 'vocab_size', vocabularySize)
  checkConfig(config, 'hidden_size', hiddenSize)
  const inputIds = required(inputs, 'input_ids', 'input').name
  return {
    inputs: {
      inputIds,
      attentionMask: required(inputs, 'attention_mask', 'input').name,
      positionIds: positionIds?.name ?? null,
      logitsToKeep: inputs.find(({ name }) => name.endsWith('logits_to_keep'))?.name ?? null,
      past,
    },
    outputs: { logits: 'logits', present },
    layers: past.length,
    ...cacheLayout(inputs, past, config),
    padding,
    head,
    layerStates: findLayerStates(sortNodes.apply(model).graph, {
      inputIds,
      hidden: head.hidden,
      presentKeys: present.map(({ key }) => key),
    }),
    vocabularySize,
    hiddenSize,
  }
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

function refuseUnknown(inputs: readonly Value[], past: readonly KeyValueNames[]): void {
  const known = new Set([...KNOWN_INPUTS, ...past.flatMap(({ key, value }) => [key, value])])
  const stranger = inputs.find(({ name }) => !known.has(name))
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
): Pick<DecoderDescription, 'keyValueHeads' | 'headSize' | 'dtype'> {
  const layouts = past.flatMap(({ key, value }) =>
    [key, value].map((name) => {
      const type = inputs.find((input) => input.name === name)?.type
      const shape = type?.shape
      if (shape?.length !== 4) {
        throw unsupported(`expected [B, K, P, h] for "${name}", got rank ${shape?.length ?? 'unknown'}`)
      }
      return { dataType: type!.dataType, heads: shape[1]!, size: shape[3]! }
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
  const expectedHeads = number(config['num_key_value_heads']) ?? queryHeads
  const width = number(config['hidden_size'])
  const expectedSize = number(config['head_dim']) ?? (width && queryHeads ? width / queryHeads : undefined)
  return {
    keyValueHeads: agreed('key/value heads (axis 1 of the caches)', heads, expectedHeads),
    headSize: agreed('head size (axis 3 of the caches)', size, expectedSize),
    dtype: dataType === DATA_TYPES.float32 ? 'float32' : 'float16',
  }
}

/**
 * Returns a size from the graph, or from the config if the graph leaves it open. Throws when the two differ.
 */
function agreed(what: string, inGraph: unknown, inConfig: number | undefined): number {
  const found = number(inGraph)
  if (found !== undefined && inConfig !== undefined && found !== inConfig) {
    throw unsupported(`expected ${what} ${inConfig} as in config.json, got ${found}`)
  }
  const size = found ?? inConfig
  if (size === undefined) throw unsupported(`expected ${what} in the graph or config.json, got neither`)
  return size
}

function checkConfig(config: DecoderConfig, key: string, found: number): void {
  const expected = number(config[key])
  if (expected !== undefined && expected !== found) {
    throw unsupported(`expected ${key} ${expected} as in config.json, got ${found} in the graph`)
  }
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
