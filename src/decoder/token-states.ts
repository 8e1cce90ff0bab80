/**
 * @file Emits what reward models read of single tokens inside the generation graph: the states of a few layers at
 * the last token, and the sums of gated token rewards (SWIFT, arXiv 2505.12225).
 */

import { DATA_TYPES, int, type Tape, tensor, type Value, value } from '#onnx'
import { float32, int64 } from '#tensor'

/**
 * Returns the layers whose states of single tokens are read, as indices of the L + 1 states of a thought: the
 * middle, three quarters, and the last, without repetitions.
 *
 * Deviates: SWIFT reads all layers. Each further layer is a copy of its states in every step, and more
 * weights for the same few labels.
 *
 * @param layers L + 1; 0 for a graph without thoughts
 */
export function scoredLayers(layers: number): readonly number[] {
  if (layers === 0) return []
  const last = layers - 1
  return [...new Set([Math.round(last / 2), Math.round((3 * last) / 4), last])]
}

/** Width K x D of the scored states of a token. */
export function scoredWidth({ states, hiddenSize }: Sizes): number {
  return scoredLayers(states).length * hiddenSize
}

interface Sizes {
  /** Number of states of a thought, L + 1. */
  readonly states: number
  /** D. */
  readonly hiddenSize: number
}

/** Inputs and outputs of the generation graph for token states; shapes as in `compileGeneration`. */
export function tokenContract(sizes: Sizes): { readonly inputs: Value[]; readonly outputs: Value[] } {
  const width = scoredWidth(sizes)
  return {
    inputs: [value('token_maps', 'float32', [2, width, 'V']), value('token_biases', 'float32', [2, 'V'])],
    outputs: [
      value('last_states', 'float32', ['B', width]),
      value('gated_sums', 'float32', ['B', 2, 'V']),
      value('token_states', 'float32', ['B', 'fed', width]),
    ],
  }
}

/** Loop-carried values of the token states inside the body, in the order of the outputs of `tokenContract`. */
export const TOKEN_STATE: readonly Value[] = [
  value('loop/last_states', 'float32', [null, null]),
  value('loop/gated_sums', 'float32', [null, null, null]),
  value('loop/token_states', 'float32', [null, null, null]),
]

/** Names, in the outer graph, of the two maps of every version. */
export interface TokenMapNames {
  /** `[K*D, V]`. */
  readonly reward: string
  readonly gate: string
  /** `[V]`. */
  readonly rewardBias: string
  readonly gateBias: string
}

/**
 * Emits the maps of the inputs and the initial values of the loop: zeros, with the number of rows of `rows` `[B]`.
 * Belongs into the outer graph.
 */
export function emitNoTokens(
  tape: Tape,
  rows: string,
  sizes: Sizes,
): { readonly maps: TokenMapNames; readonly initial: readonly string[] } {
  const part = (input: string, index: number) =>
    tape.op('Gather', [input, tape.constant(int64(index))], { axis: int(0) })
  const maps = {
    reward: part('token_maps', 0),
    gate: part('token_maps', 1),
    rewardBias: part('token_biases', 0),
    gateBias: part('token_biases', 1),
  }
  const batch = tape.op('Shape', [rows])
  const zeros = (...dims: readonly string[]) =>
    tape.op('ConstantOfShape', [tape.op('Concat', [batch, ...dims], { axis: int(0) })], {
      value: tensor(float32([0])),
    })
  const width = tape.constant(int64([scoredWidth(sizes)]))
  const [none, two] = [tape.constant(int64([0])), tape.constant(int64([2]))]
  const initial = [zeros(width), zeros(two, tape.op('Shape', [maps.rewardBias])), zeros(none, width)]
  return { maps, initial }
}

/**
 * Emits the next loop-carried values, in the order of `TOKEN_STATE`: the scored states of the last position whose
 * weight is not 0; for every version of the maps the sums over positions of weight x gate x reward and of weight x
 * gate, gate = sigmoid; and the scored states of the positions fed in this iteration.
 *
 * @param states of each layer, `[B, S, D]` or `[B*S, D]`, in any float type.
 * @param shape int64 `[3]`: B, S and -1.
 * @param weights float32 `[B, S]`.
 * @param atLast emits element `last_index` of axis 1 of every row
 */
export function emitTokenStates(
  tape: Tape,
  states: readonly string[],
  shape: string,
  weights: string,
  { maps, atLast }: { readonly maps: TokenMapNames; readonly atLast: (values: string) => string },
): readonly string[] {
  const scored = scoredLayers(states.length).map((layer) =>
    tape.op('Cast', [tape.op('Reshape', [states[layer]!, shape])], { to: int(DATA_TYPES.float32) }),
  )
  const tokens = tape.op('Concat', scored, { axis: int(2) }) // [B, S, K*D]

  const one = tape.constant(int64([1]))
  const counts = tape.op('Greater', [atLast(weights), tape.constant(float32(0))])
  const last = tape.op('Where', [tape.op('Unsqueeze', [counts, one]), atLast(tokens), 'loop/last_states'])

  const reward = tape.op('Add', [tape.op('MatMul', [tokens, maps.reward]), maps.rewardBias]) // [B, S, V]
  const gate = tape.op('Sigmoid', [tape.op('Add', [tape.op('MatMul', [tokens, maps.gate]), maps.gateBias])])
  const line = tape.op('Unsqueeze', [weights, one]) // [B, 1, S]
  const sums = tape.op(
    'Concat',
    [tape.op('MatMul', [line, tape.op('Mul', [gate, reward])]), tape.op('MatMul', [line, gate])],
    { axis: int(1) },
  )
  return [last, tape.op('Add', ['loop/gated_sums', sums]), tokens]
}
