/**
 * @file Attention of one new token in plain operators, in place of GroupQueryAttention (com.microsoft).
 *
 * ONNX Runtime's GroupQueryAttention multiplies head by head on a CPU, and copies the keys and values of the past in
 * every step. Here the query heads of one key/value head are the rows of one product, and the past stays where it
 * is: the positions that were added to it, the *recent* ones, are a tensor of their own.
 */

import {
  DATA_TYPES,
  float,
  floatAttribute,
  type Graph,
  graph,
  int,
  intAttribute,
  type Node,
  producers,
  type Tape,
  uses,
  value,
} from '#onnx'
import { float32, int64 } from '#tensor'
import type { DecoderDescription } from './describe-decoder.ts'

/** One GroupQueryAttention of the step graph that can be replaced for steps of one token. */
export interface OneTokenAttention {
  /** Number of query heads, H. */
  readonly queryHeads: number
  /** Number of key/value heads, K. */
  readonly keyValueHeads: number
  /** Width of a head, h. */
  readonly headSize: number
  /** Factor of the scores. */
  readonly scale: number
  /** Bound of the scores, by tanh; 0: none. */
  readonly softcap: number
  /** Number of last positions that a token sees, itself included; null: all. */
  readonly window: number | null
  /** Rotary embedding of queries and keys; null: none. `width` is the rotated part of a head. */
  readonly rotary: { readonly width: number; readonly interleaved: number } | null
}

/** Replaceable attention by the name of its output in the step graph, one per layer. */
export type OneTokenAttentions = ReadonlyMap<string, OneTokenAttention>

const KNOWN_ATTRIBUTES = new Set([
  'num_heads',
  'kv_num_heads',
  'scale',
  'softcap',
  'local_window_size',
  'do_rotary',
  'rotary_interleaved',
])
const PAST_KEY = 3
const LENGTHS = 5
const COS = 7
const SIN = 8
/** Index of the sinks `[H]`, one more score of every query head, whose value counts for nothing. */
const SINKS = 11

/**
 * Finds the GroupQueryAttention of every layer.
 *
 * @returns null unless all layers have one in float32 with attributes and inputs that `emitOneTokenAttention`
 * computes: packed or separate projections, rotary embedding by constant tables, soft-caps, local windows, sinks
 */
export function findOneTokenAttentions(
  step: Graph,
  description: DecoderDescription,
): OneTokenAttentions | null {
  if (description.padding !== 'right' || description.dtype !== 'float32') return null
  const byOutput = producers(step)
  const found = new Map<string, OneTokenAttention>()
  for (const [layer, { key, value }] of description.outputs.present.entries()) {
    const past = description.inputs.past[layer]!
    const node = byOutput.get(key)
    if (node?.opType !== 'GroupQueryAttention' || node.outputs.length !== 3) return null
    const isAlone =
      node.outputs[2] === value &&
      node.inputs[PAST_KEY] === past.key &&
      node.inputs[PAST_KEY + 1] === past.value &&
      [past.key, past.value].every((name) => uses(step, name).length === 1) &&
      [key, value].every((name) => uses(step, name).length === 0)
    const attention = isAlone ? readAttention(step, node, description) : null
    if (attention === null) return null
    found.set(node.outputs[0]!, attention)
  }
  return found
}

function readAttention(
  step: Graph,
  node: Node,
  { headSize, keyValueHeads }: DecoderDescription,
): OneTokenAttention | null {
  const isOther = (name: string) =>
    !(KNOWN_ATTRIBUTES.has(name) || node.attributes.get(name)?.value === 0n || isUnused(node, name))
  const hasOtherInput = node.inputs.some((name, index) => name !== '' && index > SIN && index !== SINKS)
  const isPacked = node.inputs[1] === '' && node.inputs[2] === ''
  if (hasOtherInput || [...node.attributes.keys()].some(isOther)) return null
  if (!isPacked && (node.inputs[1] === '' || node.inputs[2] === '')) return null
  if (intAttribute(node, 'kv_num_heads', 0) !== keyValueHeads) return null
  const hasRotary = intAttribute(node, 'do_rotary', 0) === 1
  const half = step.initializers.get(node.inputs[COS] ?? '')?.dims[1]
  if (hasRotary && half === undefined) return null
  const window = intAttribute(node, 'local_window_size', -1)
  const scale = floatAttribute(node, 'scale', 0)
  return {
    queryHeads: intAttribute(node, 'num_heads', 0),
    keyValueHeads,
    headSize,
    scale: scale === 0 ? 1 / Math.sqrt(headSize) : scale,
    softcap: floatAttribute(node, 'softcap', 0),
    window: window < 0 ? null : window,
    rotary: hasRotary ? { width: 2 * half!, interleaved: intAttribute(node, 'rotary_interleaved', 0) } : null,
  }
}

/** Attributes that have an effect only with other inputs. */
function isUnused(node: Node, name: string): boolean {
  const attribute = node.attributes.get(name)
  const isDefault = attribute?.type === 'string' && new TextDecoder().decode(attribute.value) === 'NONE'
  return isDefault || (name === 'smooth_softmax' && (node.inputs[SINKS] ?? '') !== '')
}

/** Names of values in the body of the Loop. */
interface BodyNames {
  /** int64 `[B, S]`. */
  readonly ids: string
  /** int64 `[B, P+R+S]`: the positions of the past, the recent ones, those of `ids`. */
  readonly mask: string
}

/**
 * Creates a function that emits the attention of a layer: for one fed token in plain operators over past and recent
 * positions; for several, the operator of the export over the past. Then there must be no recent positions.
 */
export function oneTokenAttentionEmitter(tape: Tape, { ids, mask }: BodyNames) {
  const shared = createShared(tape, ids, mask)
  /**
   * Emits the outputs of `node`; those of the caches become the recent positions after the step.
   *
   * @param layer names of the caches: `past` of the outer graph, `[B, K, P, h]`; `recent`, `[B, K, R, h]`
   */
  return (
    node: Node,
    attention: OneTokenAttention,
    layer: {
      readonly past: readonly [key: string, value: string]
      readonly recent: readonly [key: string, value: string]
    },
  ): void => {
    const bias = shared.bias(attention.window)
    const positions = shared.positions(node.inputs[LENGTHS]!)
    const one = tape.nested()
    const oneOutputs = emitOne(one, node, attention, { ...layer, bias, positions, sizes: shared.sizes })
    const several = tape.nested()
    const severalOutputs = emitSeveral(several, node, layer.past, shared)
    const branch = (nested: Tape, outputs: readonly string[], name: string) =>
      graph(nested.graph({ name, outputs: outputs.map((output) => value(output, 'float32')) }))
    tape.outputs(node.outputs, 'If', [shared.isOne], {
      then_branch: branch(one, oneOutputs, 'one_token'),
      else_branch: branch(several, severalOutputs, 'several_tokens'),
    })
  }
}

/** Emits the values that do not depend on the layer, each once. */
function createShared(tape: Tape, ids: string, mask: string) {
  const first = tape.constant(int64([0]))
  const second = tape.constant(int64([1]))
  const sizeOf = (name: string, axis: string) => tape.op('Gather', [tape.op('Shape', [name]), axis])
  const pastSize = sizeOf('past_key_values.0.key', tape.constant(int64([2]))) // [1]
  const newSize = tape.op('Sub', [sizeOf(mask, second), pastSize])
  const isOne = tape.op('Squeeze', [tape.op('Equal', [sizeOf(ids, second), second]), first])
  const biases = new Map<number | null, string>()
  const positions = new Map<string, string>()

  function emitBias(window: number | null): string {
    const isSeen = tape.op('Cast', [mask], { to: int(DATA_TYPES.bool) })
    const isVisible = window === null ? isSeen : tape.op('And', [isSeen, isNear(window)])
    const bias = tape.op('Where', [
      isVisible,
      tape.constant(float32(0)),
      tape.constant(float32(Number.NEGATIVE_INFINITY)),
    ])
    return tape.op('Unsqueeze', [bias, tape.constant(int64([1, 2]))]) // [B, 1, 1, P+R+1]
  }

  /** A position is near if fewer than `window` ones of the mask come after it. */
  function isNear(window: number): string {
    const counted = tape.op('CumSum', [mask, tape.constant(int64(1))])
    const total = tape.op('ReduceSum', [mask, second])
    return tape.op('Less', [tape.op('Sub', [total, counted]), tape.constant(int64(window))])
  }

  const once = <Key>(values: Map<Key, string>, key: Key, emit: () => string): string => {
    const name = values.get(key) ?? emit()
    values.set(key, name)
    return name
  }
  const fed = tape.op('Slice', [mask, pastSize, tape.constant(int64([Number.MAX_SAFE_INTEGER])), second])
  return {
    isOne,
    /** int64 `[1]`: P. */
    pastSize,
    /** bool `[B, 1, R+S, 1]`: the mask of the positions after the past. */
    isReal: tape.op('Unsqueeze', [
      tape.op('Cast', [fed], { to: int(DATA_TYPES.bool) }),
      tape.constant(int64([1, 3])),
    ]),
    /** int64 `[2]`: P, R + 1. */
    sizes: tape.op('Concat', [pastSize, newSize], { axis: int(0) }),
    /** float32 `[B, 1, 1, P+R+1]`: 0 for visible positions, else -infinity. */
    bias: (window: number | null) => once(biases, window, () => emitBias(window)),
    /** int64 `[B, 1]`: position of the new token, from the operator's count of the earlier ones. */
    positions: (lengths: string) =>
      once(positions, lengths, () =>
        tape.op('Reshape', [
          tape.op('Cast', [lengths], { to: int(DATA_TYPES.int64) }),
          tape.constant(int64([-1, 1])),
        ]),
      ),
  }
}

/**
 * Emits the operator of the export over the past; returns its output and the new positions, with zeros for padding,
 * whose keys and values the operator leaves undefined.
 */
function emitSeveral(
  tape: Tape,
  node: Node,
  past: readonly [string, string],
  { pastSize, isReal }: { readonly pastSize: string; readonly isReal: string },
): readonly string[] {
  const inputs = node.inputs.with(PAST_KEY, past[0]).with(PAST_KEY + 1, past[1])
  const attributes = Object.fromEntries(node.attributes)
  const [output, ...presents] = tape.outputs(3, node.opType, inputs, attributes, node.domain)
  const end = tape.constant(int64([Number.MAX_SAFE_INTEGER]))
  const axis = tape.constant(int64([2]))
  const added = presents.map((present) => tape.op('Slice', [present, pastSize, end, axis]))
  return [output!, ...added.map((cache) => tape.op('Where', [isReal, cache, tape.constant(float32(0))]))]
}

interface OneTokenNames {
  readonly past: readonly [key: string, value: string]
  readonly recent: readonly [key: string, value: string]
  readonly bias: string
  readonly positions: string
  readonly sizes: string
}

/** Emits attention of one token; returns output `[B, 1, H h]` and recent keys and values `[B, K, R+1, h]`. */
function emitOne(
  tape: Tape,
  node: Node,
  attention: OneTokenAttention,
  { past, recent, bias, positions, sizes }: OneTokenNames,
): readonly string[] {
  const { queryHeads: H, keyValueHeads: K, headSize: h, scale, softcap } = attention
  const reshape = (x: string, shape: number[]) => tape.op('Reshape', [x, tape.constant(int64(shape))])
  const last = { axis: int(-1) }
  const [query, key, values] = emitProjections(tape, node, attention, positions)
  const queries = reshape(query, [0, K, H / K, h])
  const extend = (cache: string, fresh: string) =>
    tape.op('Concat', [cache, reshape(fresh, [0, K, 1, h])], { axis: int(2) })
  const keys = extend(recent[0], key)
  const newValues = extend(recent[1], values)

  const products = [past[0], keys].map((cache) =>
    tape.op('FusedMatMul', [queries, cache], { transB: int(1), alpha: float(scale) }, 'com.microsoft'),
  )
  const scores = tape.op('Concat', products, last) // [B, K, H/K, P+R+1]
  const biased = tape.op('Add', [emitSoftcap(tape, scores, softcap), bias])
  const weights = emitSoftmax(tape, biased, node.inputs[SINKS] ?? '', attention)
  const parts = tape.outputs(2, 'Split', [weights, sizes], last)
  const mixed = tape.op('Add', [
    tape.op('MatMul', [parts[0]!, past[1]]),
    tape.op('MatMul', [parts[1]!, newValues]),
  ])
  return [reshape(mixed, [0, 1, H * h]), keys, newValues]
}

/** Emits queries `[B, 1, H h]`, keys and values `[B, 1, K h]` of the new token, rotated. */
function emitProjections(
  tape: Tape,
  { inputs }: Node,
  { queryHeads: H, keyValueHeads: K, headSize: h, rotary }: OneTokenAttention,
  positions: string,
): readonly [string, string, string] {
  const rotate = (x: string, heads: number) => {
    if (rotary === null) return x
    const { width, interleaved } = rotary
    const partial = width === h ? {} : { rotary_embedding_dim: int(width), num_heads: int(heads) }
    const attributes = { interleaved: int(interleaved), ...partial }
    const tables = [inputs[COS]!, inputs[SIN]!]
    return tape.op('RotaryEmbedding', [x, positions, ...tables], attributes, 'com.microsoft')
  }
  const split = (x: string, sizes: number[]) =>
    tape.outputs(sizes.length, 'Split', [x, tape.constant(int64(sizes))], { axis: int(-1) })
  const [first, second, third] = inputs as [string, string, string]
  if (second !== '') return [rotate(first, H), rotate(second, K), third]
  const [turned, values] = split(first, [(H + K) * h, K * h])
  const [query, key] = split(rotate(turned!, H + K), [H * h, K * h])
  return [query!, key!, values!]
}

function emitSoftcap(tape: Tape, scores: string, softcap: number): string {
  if (softcap === 0) return scores
  const cap = tape.constant(float32(softcap))
  return tape.op('Mul', [tape.op('Tanh', [tape.op('Div', [scores, cap])]), cap])
}

/** Emits softmax over the last axis of `[B, K, H/K, N]`; with sinks, over one more score that is left out. */
function emitSoftmax(
  tape: Tape,
  scores: string,
  sinks: string,
  { queryHeads: H, keyValueHeads: K }: OneTokenAttention,
): string {
  const last = { axis: int(-1) }
  if (sinks === '') return tape.op('Softmax', [scores], last)
  const column = tape.op('Reshape', [sinks, tape.constant(int64([1, K, H / K, 1]))])
  const rows = tape.op('Gather', [tape.op('Shape', [scores]), tape.constant(int64([0]))])
  const shape = tape.op('Concat', [rows, tape.constant(int64([1, 1, 1]))], { axis: int(0) })
  const all = tape.op(
    'Softmax',
    [tape.op('Concat', [scores, tape.op('Expand', [column, shape])], last)],
    last,
  )
  return tape.op('Slice', [all, ...[0, -1, 3].map((at) => tape.constant(int64([at])))])
}
