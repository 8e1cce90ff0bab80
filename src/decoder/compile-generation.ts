/** @file Compiles the step graph of a decoder into one resumable `Loop` that generates whole answers. */

import {
  createTape,
  DATA_TYPES,
  encodeModel,
  type Graph,
  graph,
  hoistInitializers,
  int,
  type Model,
  type Node,
  removeUnused,
  renameAll,
  runPasses,
  sortNodes,
  storeTensor,
  type Tape,
  tensor,
  type Value,
  value,
} from '#onnx'
import { bool, float32, int64 } from '#tensor'
import type { DecoderDescription } from './describe-decoder.ts'
import { emitModelLogits } from './emit-head.ts'
import { cacheHeads } from './link-recurrent.ts'
import { type OneTokenAttentions, oneTokenAttentionEmitter } from './one-token-attention.ts'
import { CARRIED_STATES, emitNextStates, emitRecurrences, recurrentContract } from './recurrent-steps.ts'
import { emitNextToken } from './sample-tokens.ts'
import { emitNextWeights, emitNoThoughts, emitThoughtSums } from './thought-sums.ts'
import { emitTokenSignals, TOKEN_SIGNALS } from './token-signals.ts'
import {
  emitNoTokens,
  emitTokenStates,
  TOKEN_STATE,
  type TokenMapNames,
  tokenContract,
} from './token-states.ts'

/**
 * Compiles the graph that decodes up to `steps` tokens per run. Iteration 0 feeds `input_ids` (S tokens on
 * top of P past ones); each later one feeds the token just picked. To resume a run, feed its `present.*` as
 * `past_key_values.*` and its last token as `input_ids`.
 *
 * Inputs: `steps` int64 [] (>= 1), `input_ids` int64 [B, S], `attention_mask` int64 [B, P+S], `position_ids`
 * int64 [B, S], `past_key_values.{i}.key|value` [B, K, P, h] (the model's type; P may be 0), `last_index`
 * int64 [B] (index of each row's last real token within S), `uniforms` float32 [N, B] in [0, 1), N >= steps,
 * `temperature` float32 [B] (0 = argmax), `top_k` int64 [B], `top_p`, `min_p`, `repetition_penalty` float32 [B]
 * and `seen_tokens` int64 [B, N] (`emitNextToken`; the loop adds the tokens that it picks), `finished` bool [B],
 * `remaining` int64 [B] (tokens a row may still emit), `eos_token_ids` int64 [E], `pad_token_id` int64 [],
 * `with_signals` bool [] (whether to compute `token_signals`), and, if the description has `layerStates`,
 * `with_thoughts` bool [] (whether to compute the last four outputs below), `thought_weights` float32 [B, S]
 * (weights of the states of each fed position in a thought), `token_maps` float32
 * [2, K*D, V] and `token_biases` float32 [2, V] (reward and gate of V versions, V >= 1, over the states of the K
 * `scoredLayers`).
 *
 * For a model that pads on the right, the mask of a row is ones for its past and its input, then zeros.
 *
 * With `attentions`, the past stays as it is and the positions after it are apart: further inputs
 * `recent_key_values.{i}.key|value` [B, K, R, h] and a mask [B, P+R+S]; `present.*` are then the recent positions
 * and the new ones, [B, K, R+n, h], to be fed as `recent_key_values.*`. Rows of one token may have zeros anywhere in
 * the mask. Where S > 1, R must be 0, the rules of the padding hold, and `present.*` are all positions, [B, K,
 * P+S+n-1, h]; those after the fed ones are the same for all rows.
 *
 * Outputs: `tokens` int64 [n, B], `hidden_states` float32 [n, B, D] (after the final norm;
 * `hidden_states[i]` predicted `tokens[i]`), `token_signals` float32 [n, B, 3] (`emitTokenSignals`, of `tokens`;
 * zeros unless `with_signals`), `finished_next` bool [B], `remaining_next` int64 [B],
 * `present.{i}.key|value` [B, K, P+S+n-1, h]. 1 <= n <= steps: the first iteration always runs, and the loop
 * stops early once all rows are finished. A row finishes with an EOS token or the token that uses up
 * `remaining`; after it, the row emits `pad_token_id`. The caches hold all fed tokens, hence not the last
 * token emitted; entries of a row after its end are meaningless. `thought_sums` float32 [B, L+1, D]: the
 * weighted sum of the layer states of the fed positions, plus the states of every later position that
 * predicted a token of its row. A sum over the positions that predict an answer, divided by its length, is
 * its latent thought (LTO, arXiv 2509.26314, section 3). Of the same positions: `last_states` float32 [B, K*D], the
 * scored states of the last one, 0 when none counted, and `gated_sums` float32 [B, 2, V], the sums of gate x reward
 * and of gate (`emitTokenStates`). `token_states` float32 [B, S, K*D]: the scored states of the positions that the
 * last iteration fed, which are all fed ones if `steps` is 1. Unless `with_thoughts`, these four outputs mean nothing.
 *
 * A depth-recurrent model has further inputs: `initial_states` float32 [B, S, D] (s_0 of the fed positions),
 * `later_states` float32 [N, B, D] (line i: s_0 of the token that iteration i picks), `recurrences` int64 [B] and
 * `tolerances` float32 [B] (`RECURRENT_INPUTS`); caches [B, R*K, P, h] in its core; and an output `recurrences_taken`
 * int64 [n, B]: the recurrences of the position that predicted each token. Its thoughts are [R, D].
 *
 * Weights are shared with `model`, outside the loop body; references to external data are kept.
 *
 * @param attentions from `findOneTokenAttentions`; null: the operators of the export in every step. The gain is that
 *   of ONNX Runtime's kernels on a CPU
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION when model and description do not match.
 */
export function compileGeneration(
  model: Model,
  description: DecoderDescription,
  attentions: OneTokenAttentions | null = null,
): Uint8Array {
  const weights = model.graph.initializers
  // Values of the step graph get a prefix, so that the outer graph can use the names of the contract.
  const inScope = (name: string) => (weights.has(name) ? name : `step/${name}`)
  const step = renameAll(model.graph, inScope)
  const { inputs, outputs, caches, presents } = contract(description, attentions !== null)
  const withThoughts = description.layerStates !== null
  const isRecurrent = description.recurrence !== null
  const sizes = thoughtSizes(description)
  const tape = createTape([...weights.keys(), ...inputs.map(({ name }) => name)])

  const isSampled = tape.op('Greater', ['temperature', tape.constant(float32(0))])
  const isSpent = tape.op('LessOrEqual', ['remaining', tape.constant(int64(0))])
  const finished = tape.op('Or', ['finished', isSpent])
  const anySampled = emitAny(tape, isSampled)
  const isUnpenalised = tape.op('Equal', ['repetition_penalty', tape.constant(float32(1))])
  const anyPenalised = emitAny(tape, tape.op('Not', [isUnpenalised]))
  const tokenStates = withThoughts ? emitNoTokens(tape, 'remaining', sizes) : null
  const state = [
    'input_ids',
    'attention_mask',
    'position_ids',
    'last_index',
    finished,
    'remaining',
    'seen_tokens',
    ...(withThoughts ? ['thought_weights', emitNoThoughts(tape, 'remaining', 'with_thoughts', sizes)] : []),
    ...(tokenStates?.initial ?? []),
    ...(isRecurrent ? [CARRIED_STATES] : []),
    ...caches,
  ]
  const body = loopBody(tape.nested(), {
    step,
    description,
    attentions,
    inScope,
    anySampled,
    anyPenalised,
    tokenMaps: tokenStates?.maps ?? null,
  })
  const loopCaches = attentions === null ? presents : presents.map((name) => `loop/${name}`)
  tape.outputs(
    [
      // The loop's next inputs are not outputs of the graph: the caller feeds the next run.
      'loop/next_ids',
      'loop/next_mask',
      'loop/next_positions',
      'loop/next_last_index',
      'finished_next',
      'remaining_next',
      'loop/next_seen',
      ...(withThoughts ? ['loop/next_weights', 'thought_sums'] : []),
      ...(withThoughts ? tokenContract(sizes).outputs.map(({ name }) => name) : []),
      ...(isRecurrent ? ['loop/next_states'] : []),
      ...loopCaches,
      'tokens',
      'hidden_states',
      'token_signals',
      ...(isRecurrent ? ['recurrences_taken'] : []),
    ],
    'Loop',
    ['steps', tape.constant(bool(true)), ...state],
    { body: graph(body) },
  )
  if (attentions !== null) emitPresents(tape, loopCaches, presents)
  const compiled: Model = {
    ...model,
    graph: tape.graph({ name: 'generation', inputs, outputs, initializers: weights }),
  }
  return encodeModel(runPasses([hoistInitializers, removeUnused, sortNodes], compiled).model)
}

/** Emits the outputs of the caches from the positions after the past: those alone, or the whole after several tokens. */
function emitPresents(tape: Tape, recent: readonly string[], presents: readonly string[]): void {
  const one = tape.constant(int64(1))
  const length = tape.op('Gather', [tape.op('Shape', ['input_ids']), one])
  const whole = tape.nested()
  const wholeOutputs = recent.map((name) =>
    whole.op('Concat', [name.replace('loop/present', 'past_key_values'), name], { axis: int(2) }),
  )
  const apart = tape.nested()
  const apartOutputs = recent.map((name) => apart.op('Identity', [name]))
  const branch = (nested: Tape, outputs: readonly string[], name: string) =>
    graph(nested.graph({ name, outputs: outputs.map((output) => value(output, 'float32')) }))
  tape.outputs(presents, 'If', [tape.op('Greater', [length, one])], {
    then_branch: branch(whole, wholeOutputs, 'whole'),
    else_branch: branch(apart, apartOutputs, 'apart'),
  })
}

function thoughtSizes({ layerStates, hiddenSize }: DecoderDescription) {
  return { states: layerStates?.length ?? 0, hiddenSize }
}

/** Returns inputs and outputs of the compiled graph; B, S, ... as in docs/shapes.md. */
function contract(description: DecoderDescription, hasRecent: boolean) {
  const { headSize: h, hiddenSize, dtype, layers, layerStates, recurrence } = description
  const headsOf = (cache: number) => cacheHeads({ heads: description.keyValueHeads, recurrence }, cache >> 1)
  const names = (stem: string) =>
    Array.from({ length: layers }, (_, i) => [`${stem}.${i}.key`, `${stem}.${i}.value`]).flat()
  const past = names('past_key_values')
  /** Caches that the Loop carries. */
  const caches = hasRecent ? names('recent_key_values') : past
  const presents = names('present')
  const tokens = layerStates ? tokenContract(thoughtSizes(description)) : { inputs: [], outputs: [] }
  const inputs: Value[] = [
    value('steps', 'int64', []),
    value('input_ids', 'int64', ['B', 'S']),
    value('attention_mask', 'int64', ['B', hasRecent ? 'P+R+S' : 'P+S']),
    value('position_ids', 'int64', ['B', 'S']),
    ...past.map((name, index) => value(name, dtype, ['B', headsOf(index), 'P', h])),
    ...(hasRecent ? caches.map((name, index) => value(name, dtype, ['B', headsOf(index), 'R', h])) : []),
    value('last_index', 'int64', ['B']),
    value('uniforms', 'float32', ['N', 'B']),
    value('temperature', 'float32', ['B']),
    value('top_k', 'int64', ['B']),
    value('top_p', 'float32', ['B']),
    value('min_p', 'float32', ['B']),
    value('repetition_penalty', 'float32', ['B']),
    value('seen_tokens', 'int64', ['B', 'seen']),
    value('finished', 'bool', ['B']),
    value('remaining', 'int64', ['B']),
    value('eos_token_ids', 'int64', ['E']),
    value('pad_token_id', 'int64', []),
    value('with_signals', 'bool', []),
    ...(layerStates ? [value('with_thoughts', 'bool', [])] : []),
    ...(layerStates ? [value('thought_weights', 'float32', ['B', 'S'])] : []),
    ...tokens.inputs,
    ...(recurrence ? recurrentContract(recurrence).inputs : []),
  ]
  const outputs: Value[] = [
    value('tokens', 'int64', ['n', 'B']),
    value('hidden_states', 'float32', ['n', 'B', hiddenSize]),
    value('token_signals', 'float32', ['n', 'B', TOKEN_SIGNALS]),
    value('finished_next', 'bool', ['B']),
    value('remaining_next', 'int64', ['B']),
    ...(layerStates ? [value('thought_sums', 'float32', ['B', layerStates.length, hiddenSize])] : []),
    ...tokens.outputs,
    ...(recurrence ? recurrentContract(recurrence).outputs : []),
    ...presents.map((name, index) =>
      value(name, dtype, ['B', headsOf(index), hasRecent ? null : 'P+S+n-1', h]),
    ),
  ]
  return { inputs, outputs, caches, presents }
}

interface BodyScope {
  /** The step graph, renamed by `inScope`. */
  readonly step: Graph
  readonly description: DecoderDescription
  readonly attentions: OneTokenAttentions | null
  readonly inScope: (name: string) => string
  /** Name of a bool scalar of the outer graph: true when some row samples. */
  readonly anySampled: string
  /** Name of a bool scalar of the outer graph: true when some row has a repetition penalty. */
  readonly anyPenalised: string
  /** Names in the outer graph; null without layer states. */
  readonly tokenMaps: TokenMapNames | null
}

/**
 * Builds one iteration: the step graph, one token per row from the hidden states, and the state of the next
 * iteration. Loop-carried shapes grow, so the values have no fixed shapes.
 */
function loopBody(
  tape: Tape,
  { step, description, attentions, inScope, anySampled, anyPenalised, tokenMaps }: BodyScope,
): Graph {
  const { inputs, outputs, head, layerStates, padding, headSize, dtype, recurrence } = description
  const ids = inScope(inputs.inputIds)
  const mask = inScope(inputs.attentionMask)
  const positions = inputs.positionIds === null ? 'loop/position_ids' : inScope(inputs.positionIds)
  const caches = inputs.past.flatMap(({ key, value }) => [inScope(key), inScope(value)])
  if (recurrence) emitRecurrences(tape, inScope, 'loop/finished')
  if (attentions === null) tape.append(step.nodes)
  else appendWithAttentions(tape, { step, description, attentions, inScope, ids, mask })

  // The head sees the last real position only: [B, S, D] -> [B, D], before the product with the vocabulary.
  const batchAndLength = tape.op('Shape', [ids])
  const shape = tape.op('Concat', [batchAndLength, tape.constant(int64([-1]))], { axis: int(0) })
  const hiddenStates = tape.op('Reshape', [inScope(head.hidden), shape])
  const hidden = tape.op('Cast', [atLast(tape, hiddenStates)], { to: int(DATA_TYPES.float32) })
  const logits = emitModelLogits(tape, head, hidden, inScope)
  const uniforms = tape.op('Gather', ['uniforms', 'loop/iteration'], { axis: int(0) }) // [B]
  const picked = emitNextToken(tape, logits, {
    vocabularySize: description.vocabularySize,
    temperature: 'temperature',
    topK: 'top_k',
    topP: 'top_p',
    minP: 'min_p',
    repetitionPenalty: 'repetition_penalty',
    seenTokens: 'loop/seen_tokens',
    uniforms,
    anySampled,
    anyPenalised,
  })

  const signals = emitTokenSignals(tape, logits, {
    vocabularySize: description.vocabularySize,
    maskedTokens: description.maskedTokens,
    picked,
    wanted: 'with_signals',
  })
  const token = tape.op('Where', ['loop/finished', 'pad_token_id', picked])
  const active = tape.op('Not', ['loop/finished'])
  const emitted = tape.op('Cast', [active], { to: int(DATA_TYPES.int64) })
  const remaining = tape.op('Sub', ['loop/remaining', emitted])
  const isSpent = tape.op('LessOrEqual', [remaining, tape.constant(int64(0))])
  const ended = tape.op('Or', [emitIsAnyOf(tape, token, 'eos_token_ids'), isSpent])
  const finished = tape.op('Or', ['loop/finished', ended])
  const goOn = emitAny(tape, tape.op('Not', [finished]))

  const nextIds = tape.op('Unsqueeze', [token, tape.constant(int64([1]))]) // [B, 1]
  const nextSeen = tape.op('Concat', ['loop/seen_tokens', nextIds], { axis: int(1) }) // [B, N+1]
  const nextMask =
    padding === 'right' && attentions === null
      ? emitLongerPrefix(tape, mask)
      : emitOneMore(tape, mask, nextIds)
  const lastPosition = tape.op('Unsqueeze', [atLast(tape, positions), tape.constant(int64([1]))])
  const nextPositions = tape.op('Add', [lastPosition, tape.constant(int64(1))])
  const nextLastIndex = tape.op('Sub', ['loop/last_index', 'loop/last_index']) // zeros: S = 1 from here on

  const thoughts =
    layerStates && tokenMaps
      ? [emitNextWeights(tape, finished), ...emitThoughts(tape, layerStates.map(inScope), shape, tokenMaps)]
      : []

  const presents = outputs.present.flatMap(({ key, value }) => [inScope(key), inScope(value)])
  const keepAll = inputs.logitsToKeep
  return tape.graph({
    name: 'decode_step',
    inputs: [
      value('loop/iteration', 'int64', []),
      value('loop/condition', 'bool', []),
      value(ids, 'int64', [null, null]),
      value(mask, 'int64', [null, null]),
      value(positions, 'int64', [null, null]),
      value('loop/last_index', 'int64', [null]),
      value('loop/finished', 'bool', [null]),
      value('loop/remaining', 'int64', [null]),
      value('loop/seen_tokens', 'int64', [null, null]),
      ...(tokenMaps ? [value('loop/thought_weights', 'float32', [null, null])] : []),
      ...(tokenMaps ? THOUGHT_STATE : []),
      ...(recurrence ? [value(inScope(CARRIED_STATES), 'float32', [null, null, null])] : []),
      ...caches.map((name, index) => {
        const heads = cacheHeads({ heads: description.keyValueHeads, recurrence }, index >> 1)
        return value(name, dtype, [null, heads, null, headSize])
      }),
    ],
    outputs: [
      value(goOn, 'bool'),
      value(nextIds, 'int64'),
      value(nextMask, 'int64'),
      value(nextPositions, 'int64'),
      value(nextLastIndex, 'int64'),
      value(finished, 'bool'),
      value(remaining, 'int64'),
      value(nextSeen, 'int64'),
      ...thoughts.map((name) => value(name, 'float32')),
      ...(recurrence ? [value(emitNextStates(tape, 'loop/iteration'), 'float32')] : []),
      ...presents.map((name) => value(name, dtype)),
      value(token, 'int64'),
      value(hidden, 'float32'),
      value(signals, 'float32'),
      ...(recurrence ? [value(inScope(recurrence.taken), 'int64')] : []),
    ],
    ...(keepAll && { initializers: new Map([[inScope(keepAll), storeTensor(int64(0))]]) }),
  })
}

/** Loop-carried values of thoughts and token states inside the body. */
const THOUGHT_STATE: readonly Value[] = [
  value('loop/thought_sums', 'float32', [null, null, null]),
  ...TOKEN_STATE,
]

/**
 * Emits the next values of `THOUGHT_STATE` where they are wanted, else the last ones: computing them takes 3 % of a step
 * of one row of an int4 model of half a billion weights.
 */
function emitThoughts(
  tape: Tape,
  states: readonly string[],
  shape: string,
  maps: TokenMapNames,
): readonly string[] {
  const weights = 'loop/thought_weights'
  const computed = tape.nested()
  const next = [
    emitThoughtSums(computed, states, shape, weights, 'loop/thought_sums'),
    ...emitTokenStates(computed, states, shape, weights, {
      maps,
      atLast: (values) => atLast(computed, values),
    }),
  ]
  const skipped = tape.nested()
  const last = THOUGHT_STATE.map(({ name }) => skipped.op('Identity', [name]))
  const branch = (nested: Tape, outputs: readonly string[], name: string) =>
    graph(nested.graph({ name, outputs: outputs.map((output) => value(output, 'float32')) }))
  return tape.outputs(THOUGHT_STATE.length, 'If', ['with_thoughts'], {
    then_branch: branch(computed, next, 'thoughts'),
    else_branch: branch(skipped, last, 'no_thoughts'),
  })
}

/**
 * Appends the nodes of the step graph with other attention for one token. The inputs of the caches are then the
 * recent positions; the past is read from the outer graph.
 */
function appendWithAttentions(
  tape: Tape,
  scope: Pick<BodyScope, 'step' | 'description' | 'inScope'> & {
    readonly attentions: OneTokenAttentions
    readonly ids: string
    readonly mask: string
  },
): void {
  const { step, description, attentions, inScope } = scope
  const { inputs, outputs } = description
  const renamed = new Map([...attentions].map(([output, attention]) => [inScope(output), attention]))
  const isReplaced = (node: Node) => renamed.has(node.outputs[0]!)
  tape.append(step.nodes.filter((node) => !isReplaced(node)))
  const emit = oneTokenAttentionEmitter(tape, scope)
  for (const node of step.nodes.filter(isReplaced)) {
    const layer = outputs.present.findIndex(({ key }) => inScope(key) === node.outputs[1])
    const recent = inputs.past[layer]!
    emit(node, renamed.get(node.outputs[0]!)!, {
      past: [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`],
      recent: [inScope(recent.key), inScope(recent.value)],
    })
  }
}

const ONE = { value: tensor(int64([1])) }

/** Emits the mask `[B, T]` followed by ones of the shape of `ids` `[B, 1]`. */
function emitOneMore(tape: Tape, mask: string, ids: string): string {
  const one = tape.op('ConstantOfShape', [tape.op('Shape', [ids])], ONE)
  return tape.op('Concat', [mask, one], { axis: int(1) })
}

/**
 * Emits the next mask `[B, T+1]` of rows padded on the right: the ones of every row and one more, then zeros.
 */
function emitLongerPrefix(tape: Tape, mask: string): string {
  const one = tape.constant(int64(1))
  const count = tape.op('Add', [tape.op('ReduceSum', [mask, tape.constant(int64([1]))]), one]) // [B, 1]
  const size = tape.op('Gather', [tape.op('Shape', [mask]), one], { axis: int(0) })
  const positions = tape.op('Range', [tape.constant(int64(0)), tape.op('Add', [size, one]), one]) // [T+1]
  return tape.op('Cast', [tape.op('Less', [positions, count])], { to: int(DATA_TYPES.int64) })
}

/** Emits element `last_index` of axis 1 of every row: `[B, S, ...]` to `[B, ...]`. */
function atLast(tape: Tape, values: string): string {
  const index = tape.op('Unsqueeze', ['loop/last_index', tape.constant(int64([1]))])
  return tape.op('GatherND', [values, index], { batch_dims: int(1) })
}

/** Emits bool `[B]`: true where the token of `tokens` `[B]` is in `set` `[E]`; E may be 0. */
function emitIsAnyOf(tape: Tape, tokens: string, set: string): string {
  const equal = tape.op('Equal', [tape.op('Unsqueeze', [tokens, tape.constant(int64([1]))]), set]) // [B, E]
  const matches = tape.op('Cast', [equal], { to: int(DATA_TYPES.int64) })
  const count = tape.op('ReduceSum', [matches, tape.constant(int64([1]))], { keepdims: int(0) })
  return tape.op('Cast', [count], { to: int(DATA_TYPES.bool) })
}

/** Emits a bool scalar: true when any of `flags` `[B]` is true. */
function emitAny(tape: Tape, flags: string): string {
  const numbers = tape.op('Cast', [flags], { to: int(DATA_TYPES.int64) })
  return tape.op('Cast', [tape.op('ReduceSum', [numbers], { keepdims: int(0) })], {
    to: int(DATA_TYPES.bool),
  })
}
