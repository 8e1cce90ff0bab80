/**
 * @file Links the three exports of a depth-recurrent model (Huginn, arXiv 2502.05171) into one step graph, in which
 * the core is a `Loop`. Everything after this file sees an ordinary decoder, whose core has a cache for each recurrence.
 *
 * e = prelude(x), s_0 = noise, s_{i+1} = core(s_i, e), logits = coda(s_r). Recurrence i of a token attends to what
 * earlier tokens wrote at recurrence i; of a token that took fewer, to its last one.
 */

import { ServiceError } from '#errors'
import {
  createTape,
  DATA_TYPES,
  type Graph,
  graph,
  int,
  ints,
  type Model,
  renameAll,
  type StoredTensor,
  type Tape,
  type Value,
  value,
} from '#onnx'
import { bool, createTensor, float32, int64 } from '#tensor'

/** The exports of a depth-recurrent model, in the order in which they run. */
export const RECURRENT_PARTS = ['prelude', 'core', 'coda'] as const
type Part = (typeof RECURRENT_PARTS)[number]

/** Inputs of the step graph that only a depth-recurrent model has. */
export const RECURRENT_INPUTS = {
  /** float32 `[B, S, D]`: s_0 of the fed positions. */
  initialStates: 'initial_states',
  /** int64 `[B]`, 1 to R: recurrences of each row. */
  recurrences: 'recurrences',
  /**
   * float32 `[B]`: the last position of a row takes no further recurrence after one that changes its state by at most
   * this share of its norm; below 0: never.
   */
  tolerances: 'tolerances',
} as const

/** A linked core: its place in the step graph. */
export interface Recurrence {
  /** R: upper bound on the recurrences of a token, each of which has keys and values in the cache of every core layer. */
  readonly maxSteps: number
  /** Layers of the caches that belong to the core: `[from, to)`. Their key/value heads are R x K. */
  readonly coreLayers: readonly [from: number, to: number]
  /** Names of s_1 to s_R, `[1, B, S, D]` each; after the last recurrence of a token its state is repeated. */
  readonly states: readonly string[]
  /** D of the states. */
  readonly stateSize: number
  /** Name of an int64 `[B]`: recurrences that the last position of each row has taken. */
  readonly taken: string
}

export interface LinkedModel {
  readonly model: Model
  readonly recurrence: Recurrence
}

/** Returns the number of key/value heads of a cache: K, or R x K in the core. */
export function cacheHeads(
  {
    heads,
    recurrence,
  }: {
    readonly heads: number
    readonly recurrence: Pick<Recurrence, 'maxSteps' | 'coreLayers'> | null
  },
  layer: number,
): number {
  const [from, to] = recurrence?.coreLayers ?? [0, 0]
  return layer >= from && layer < to ? heads * recurrence!.maxSteps : heads
}

/**
 * Links the exports. Inputs of the result: those of a decoder and `RECURRENT_INPUTS`; caches of prelude, core and coda
 * in this order, those of the core `[B, R*K, P, h]`, with recurrence i in the heads `[i*K, (i+1)*K)`.
 *
 * @param parts prelude, core, coda (docs/onnx-support.md has their contract); weights are shared, not copied
 * @param maxSteps R
 * @throws ServiceError MODEL_UNSUPPORTED naming the part, what was expected and what was found
 */
export function linkRecurrent(parts: readonly Model[], maxSteps: number): LinkedModel {
  const [prelude, core, coda] = readParts(parts)
  const state = stateOf(core)
  const counts = [prelude, core, coda].map(layersOf) as [number, number, number]
  if (counts[1] === 0) throw unsupported('core', 'an input "past_key_values.0.key"', 'none')
  const coreLayers = [counts[0], counts[0] + counts[1]] as const
  const { heads, headSize } = cacheOf(core)
  const scope = { maxSteps, heads, headSize, coreLayers, isHalf: state.dataType === DATA_TYPES.float16 }

  const graphs = [
    inScope('prelude', prelude, 0),
    inScope('core', core, coreLayers[0]),
    inScope('coda', coda, coreLayers[1], { state: FINAL_STATE }),
  ] as const
  const weights = new Map<string, StoredTensor>(graphs.flatMap(({ initializers }) => [...initializers]))
  const inputs = linkedInputs(graphs, scope)
  const tape = createTape([...weights.keys(), ...inputs.map(({ name }) => name)])
  tape.append(graphs[0].nodes)
  const loop = emitCore(tape, graphs[1], scope)
  tape.append(graphs[2].nodes)
  const presents = graphs.flatMap(({ outputs }) =>
    outputs.filter(({ name }) => /^(core\/)?present\./.test(name)),
  )
  const logits = graphs[2].outputs.find(({ name }) => name === 'coda/logits')!
  tape.outputs(['logits'], 'Identity', [logits.name])
  return {
    model: {
      ...coda,
      opsetImports: new Map(parts.flatMap(({ opsetImports }) => [...opsetImports])),
      graph: tape.graph({
        name: 'recurrent_step',
        inputs,
        outputs: [{ ...logits, name: 'logits' }, ...presents.map((present) => unfolded(present, scope))],
        initializers: weights,
      }),
    },
    recurrence: { maxSteps, coreLayers, stateSize: state.size, ...loop },
  }
}

interface CoreScope {
  readonly maxSteps: number
  /** K. */
  readonly heads: number
  readonly headSize: number
  readonly coreLayers: readonly [from: number, to: number]
  /** Whether the states are float16. */
  readonly isHalf: boolean
}

const EMBEDDED = 'prelude/embedded'
const FINAL_STATE = 'recurrence/final_state'

/**
 * Emits the Loop of the core, the caches after it and the values of `Recurrence`. A position whose last recurrence is
 * over keeps its state, and a row whose positions are all done is computed no further.
 */
function emitCore(tape: Tape, core: Graph, scope: CoreScope): Pick<Recurrence, 'states' | 'taken'> {
  const { maxSteps, heads, headSize, coreLayers, isHalf } = scope
  const { initialStates } = RECURRENT_INPUTS
  const first = isHalf
    ? tape.op('Cast', [initialStates], { to: int(DATA_TYPES.float16) })
    : tape.op('Identity', [initialStates])
  const shape = tape.op('Shape', ['input_ids'])
  const none = tape.op('Expand', [tape.constant(int64(0)), shape]) // [B, S]
  const all = tape.op('Expand', [tape.constant(bool(true)), shape])
  const caches = cacheNames(coreLayers)
  const outputs = tape.outputs(
    5 + caches.length,
    'Loop',
    [
      ...[tape.constant(int64(maxSteps)), tape.constant(bool(true))],
      ...[first, none, all, emitRowCounts(tape, all)],
    ],
    { body: graph(coreBody(tape.nested(), core, { ...scope, ...emitInvariants(tape, shape, scope) })) },
  )
  const [last, taken, , , stacked, ...added] = outputs as [
    ...[string, string, string, string, string],
    ...string[],
  ]
  tape.outputs([FINAL_STATE], 'Identity', [last])

  const steps = tape.constant(int64(Array.from({ length: maxSteps }, (_, i) => i)))
  const one = tape.constant(int64(1))
  for (const [index, name] of caches.entries()) {
    // Of every position, recurrence i or its last one: [n, B, K, S, h] -> [B, S, R, K, h] -> [B, R*K, S, h].
    const byPosition = tape.op('Transpose', [added[index]!], { perm: ints([1, 3, 0, 2, 4]) })
    const lastOf = tape.op('Unsqueeze', [tape.op('Sub', [taken, one]), tape.constant(int64([2]))])
    const indices = tape.op('Unsqueeze', [tape.op('Min', [steps, lastOf]), tape.constant(int64([3]))])
    const filled = tape.op('GatherND', [byPosition, indices], { batch_dims: int(2) })
    const folded = tape.op('Reshape', [
      tape.op('Transpose', [filled], { perm: ints([0, 2, 3, 1, 4]) }),
      tape.constant(int64([0, maxSteps * heads, -1, headSize])),
    ])
    tape.outputs([`present.${name}`], 'Concat', [`past_key_values.${name}`, folded], { axis: int(2) })
  }

  const count = tape.op('Gather', [tape.op('Shape', [stacked]), tape.constant(int64(0))])
  const known = tape.op('Min', [steps, tape.op('Sub', [count, one])])
  const states = tape.outputs(maxSteps, 'Split', [
    tape.op('Gather', [stacked, known], { axis: int(0) }), // [R, B, S, D]
    tape.constant(int64(Array.from({ length: maxSteps }, () => 1))),
  ])
  return { states, taken: tape.op('Gather', [taken, tape.constant(int64(-1))], { axis: int(1) }) }
}

/** Names of what is the same in all recurrences of a step. */
interface Invariants {
  /** int64 `[B, 1]`: recurrences of each row. */
  readonly column: string
  /** bool `[S]`: true at the last position. */
  readonly isLast: string
  /** int64 `[1]`: P. */
  readonly pastSize: string
  /** Zeros, `[B, K, S, h]`: the keys and values of a row that is not computed. */
  readonly noCache: string
  /** Caches of the core by name, `[B*R, K, P, h]`. */
  readonly pasts: ReadonlyMap<string, string>
}

/** @param shape name of an int64 `[2]`: B and S */
function emitInvariants(
  tape: Tape,
  shape: string,
  { maxSteps, heads, headSize, coreLayers, isHalf }: CoreScope,
): Invariants {
  const line = (number: number) => tape.constant(int64([number]))
  const [batch, length] = [0, 1].map((axis) => tape.op('Gather', [shape, line(axis)])) as [string, string]
  const caches = cacheNames(coreLayers)
  const pastSize = tape.op('Gather', [tape.op('Shape', [`past_key_values.${caches[0]!}`]), line(2)])
  const shapeOf = (rows: string, size: string) =>
    tape.op('Concat', [rows, line(heads), size, line(headSize)], { axis: int(0) })
  const pastShape = shapeOf(tape.op('Mul', [batch, line(maxSteps)]), pastSize)
  const zero = tape.constant(isHalf ? createTensor('float16', [], new Uint16Array(1)) : float32(0))
  const scalar = tape.op('Squeeze', [length, line(0)])
  const places = tape.op('Range', [tape.constant(int64(0)), scalar, tape.constant(int64(1))])
  return {
    column: tape.op('Unsqueeze', [RECURRENT_INPUTS.recurrences, line(1)]),
    isLast: tape.op('Equal', [places, tape.op('Sub', [length, line(1)])]),
    pastSize,
    noCache: tape.op('Expand', [zero, shapeOf(batch, length)]),
    pasts: new Map(
      caches.map((name) => [name, tape.op('Reshape', [`past_key_values.${name}`, pastShape])] as const),
    ),
  }
}

/** Emits int64 `[B]`: how many positions of each row go on, from bool `[B, S]`. */
function emitRowCounts(tape: Tape, goes: string): string {
  const numbers = tape.op('Cast', [goes], { to: int(DATA_TYPES.int64) })
  return tape.op('ReduceSum', [numbers, tape.constant(int64([1]))], { keepdims: int(0) })
}

/**
 * Builds one recurrence. Carried: the states `[B, S, D]`, the recurrences taken `[B, S]`, whether a position goes on, bool
 * `[B, S]`, and how many of each row do, `[B]`. Stacked: the states, and the new keys and values of every core layer, `[B,
 * K, S, h]`, zeros of a row that is done.
 *
 * Only the last position may stop early: the others of a run are attended to by it, at every recurrence.
 */
function coreBody(tape: Tape, core: Graph, scope: CoreScope & Invariants): Graph {
  const { maxSteps, coreLayers, column, pasts, pastSize, noCache, isHalf } = scope
  const [state, taken, goes, counts] = ['state', 'taken', 'goes_on', 'counts'].map(
    (name) => `recurrence/${name}`,
  ) as [string, string, string, string]
  const one = tape.constant(int64(1))
  // The n rows that go on.
  const rows = tape.op('Transpose', [tape.op('NonZero', [counts])]) // [n, 1]
  const used = new Set(core.nodes.flatMap(({ inputs }) => inputs))
  const gather = (name: string, values: string, indices: string) =>
    used.has(name) && tape.outputs([name], 'GatherND', [values, indices])
  gather('core/state', state, rows)
  gather('core/embedded', EMBEDDED, rows)
  gather('core/attention_mask', 'attention_mask', rows)
  gather('core/position_ids', 'position_ids', rows)
  const first = tape.op('Mul', [rows, tape.constant(int64(maxSteps))])
  const places = tape.op('Add', [first, 'recurrence/index'])
  for (const [name, past] of pasts) gather(`core/past_key_values.${name}`, past, places) // [n, K, P, h]
  tape.append(core.nodes)

  const next = tape.op('Where', [
    tape.op('Unsqueeze', [goes, tape.constant(int64([-1]))]),
    tape.op('ScatterND', [state, rows, 'core/next_state']),
    state,
  ])
  const nextTaken = tape.op('Add', [taken, tape.op('Cast', [goes], { to: int(DATA_TYPES.int64) })])
  const isLeft = tape.op('Less', [tape.op('Add', ['recurrence/index', one]), column]) // [B, 1]
  const nextGoes = tape.op('And', [
    tape.op('And', [goes, isLeft]),
    tape.op('Not', [emitConverged(tape, state, next, scope)]),
  ])
  const nextCounts = emitRowCounts(tape, nextGoes)
  const anyGoes = tape.op('Cast', [tape.op('ReduceMax', [nextCounts], { keepdims: int(0) })], {
    to: int(DATA_TYPES.bool),
  })
  const added = cacheNames(coreLayers).map((name) => {
    const end = tape.constant(int64([Number.MAX_SAFE_INTEGER]))
    const own = tape.op('Slice', [`core/present.${name}`, pastSize, end, tape.constant(int64([2]))])
    return tape.op('ScatterND', [noCache, rows, own])
  })
  const dtype = isHalf ? 'float16' : 'float32'
  return tape.graph({
    name: 'recurrence',
    inputs: [
      value('recurrence/index', 'int64', []),
      value('recurrence/condition', 'bool', []),
      value(state, dtype, [null, null, null]),
      value(taken, 'int64', [null, null]),
      value(goes, 'bool', [null, null]),
      value(counts, 'int64', [null]),
    ],
    outputs: [
      value(anyGoes, 'bool'),
      value(next, dtype),
      value(nextTaken, 'int64'),
      value(nextGoes, 'bool'),
      value(nextCounts, 'int64'),
      value(tape.op('Identity', [next]), dtype),
      ...added.map((name) => value(name, dtype)),
    ],
  })
}

/** Emits bool `[B, S]`: true at the last position of a row whose state has changed by at most its tolerance. */
function emitConverged(tape: Tape, before: string, after: string, { isLast }: Invariants): string {
  const last = (state: string) =>
    tape.op('Cast', [tape.op('Gather', [state, tape.constant(int64(-1))], { axis: int(1) })], {
      to: int(DATA_TYPES.float32),
    }) // [B, D]
  const norm = (x: string) => {
    const squares = tape.op('Mul', [x, x])
    return tape.op('Sqrt', [tape.op('ReduceSum', [squares, tape.constant(int64([1]))], { keepdims: int(0) })])
  }
  const old = last(before)
  const change = tape.op('Div', [norm(tape.op('Sub', [last(after), old])), norm(old)]) // [B]
  const isSmall = tape.op('LessOrEqual', [change, RECURRENT_INPUTS.tolerances])
  return tape.op('And', [tape.op('Unsqueeze', [isSmall, tape.constant(int64([1]))]), isLast])
}

/** Returns `{layer}.key` and `{layer}.value` of layers `from` to `to`. */
function cacheNames([from, to]: readonly [number, number]): string[] {
  return Array.from({ length: to - from }, (_, i) => [`${from + i}.key`, `${from + i}.value`]).flat()
}

/** Inputs that all parts share. */
const SHARED = ['input_ids', 'attention_mask', 'position_ids'] as const

/** Returns the inputs of the linked graph, in the order of a decoder's. */
function linkedInputs(graphs: readonly Graph[], scope: CoreScope): Value[] {
  const all = graphs.flatMap(({ inputs }) => inputs)
  const shared = SHARED.flatMap((name) => {
    const input = all.find((each) => each.name === name || each.name === `core/${name}`)
    return input ? [{ ...input, name }] : []
  })
  const caches = graphs.flatMap(({ inputs }, part) =>
    inputs
      .filter(({ name }) => /^(core\/)?past_key_values\./.test(name))
      .map((input) =>
        part === 1 ? unfolded({ ...input, name: input.name.replace('core/', '') }, scope) : input,
      ),
  )
  return [
    ...shared,
    ...caches,
    value(RECURRENT_INPUTS.initialStates, 'float32', ['B', 'S', null]),
    value(RECURRENT_INPUTS.recurrences, 'int64', ['B']),
    value(RECURRENT_INPUTS.tolerances, 'float32', ['B']),
  ]
}

/** Returns a cache with R x K heads when it is one of the core. */
function unfolded(cache: Value, { maxSteps, heads, headSize, coreLayers: [from, to] }: CoreScope): Value {
  const name = cache.name.replace('core/', '')
  const layer = Number(name.split('.')[1])
  const { dataType, shape } = cache.type!
  if (layer < from || layer >= to || shape?.length !== 4) return { ...cache, name }
  return { name, type: { dataType, shape: [shape[0]!, maxSteps * heads, shape[2]!, headSize] } }
}

/**
 * Returns the graph of a part under names of the step graph: shared inputs and caches keep theirs, with the numbers of
 * their layers from `firstLayer` on; all else gets the name of the part. Caches of the core are those of one recurrence.
 */
function inScope(
  part: Part,
  { graph }: Model,
  firstLayer: number,
  names: Readonly<Record<string, string>> = {},
): Graph {
  // The core sees the rows that go on.
  const shared = part === 'core' ? [] : SHARED.map((name) => [name, name] as const)
  const known = new Map<string, string>([...shared, ...Object.entries(names)])
  return renameAll(graph, (name) => {
    const cache = /^(past_key_values|present)\.(\d+)\.(key|value)$/.exec(name)
    if (cache) {
      const placed = `${cache[1]}.${firstLayer + Number(cache[2])}.${cache[3]}`
      return part === 'core' ? `core/${placed}` : placed
    }
    return known.get(name) ?? `${part}/${name}`
  })
}

/** Inputs and outputs of each part beside `SHARED` and the caches. */
const BORDERS: Readonly<Record<Part, { readonly inputs: readonly string[]; readonly output: string }>> = {
  prelude: { inputs: ['input_ids'], output: 'embedded' },
  core: { inputs: ['state', 'embedded'], output: 'next_state' },
  coda: { inputs: ['state'], output: 'logits' },
}

function readParts(parts: readonly Model[]): [prelude: Model, core: Model, coda: Model] {
  for (const [index, part] of RECURRENT_PARTS.entries()) {
    const { graph, opsetImports } = parts[index]!
    const inputs = graph.inputs.map(({ name }) => name).filter((name) => !graph.initializers.has(name))
    const { inputs: needed, output } = BORDERS[part]
    const missing = needed.find((name) => !inputs.includes(name))
    if (missing !== undefined) throw unsupported(part, `an input "${missing}"`, inputs.join(', '))
    const known = [...needed, 'attention_mask', 'position_ids']
    const stranger = inputs.find((name) => !(known.includes(name) || name.startsWith('past_key_values.')))
    if (stranger !== undefined) {
      throw unsupported(part, `no inputs other than ${known.join(', ')} and caches`, `"${stranger}"`)
    }
    const outputs = graph.outputs.map(({ name }) => name)
    if (!outputs.includes(output)) throw unsupported(part, `an output "${output}"`, outputs.join(', '))
    for (const name of inputs.filter((input) => input.startsWith('past_key_values.'))) {
      const present = name.replace('past_key_values', 'present')
      if (!outputs.includes(present)) throw unsupported(part, `an output "${present}"`, outputs.join(', '))
    }
    const opset = parts[0]!.opsetImports.get('')
    if (opsetImports.get('') !== opset) {
      throw unsupported(part, `operator set ${opset}, as the prelude`, `${opsetImports.get('')}`)
    }
    const fused = graph.nodes.find(({ opType }) => opType === 'GroupQueryAttention')
    if (fused) {
      throw unsupported(
        part,
        'attention that appends new positions to the past',
        `${fused.opType} "${fused.name}"`,
      )
    }
  }
  return parts as unknown as [Model, Model, Model]
}

function layersOf({ graph: { inputs } }: Model): number {
  return inputs.filter(({ name }) => /^past_key_values\.\d+\.key$/.test(name)).length
}

/** Returns K and h of the core, which slices of its folded caches need as numbers. */
function cacheOf({ graph: { inputs } }: Model): { readonly heads: number; readonly headSize: number } {
  const shape = inputs.find(({ name }) => name === 'past_key_values.0.key')?.type?.shape
  const [heads, headSize] = [shape?.[1], shape?.[3]]
  if (typeof heads === 'number' && typeof headSize === 'number') return { heads, headSize }
  throw unsupported('core', '[B, K, P, h] with numbers K and h for "past_key_values.0.key"', shapeText(shape))
}

function stateOf({ graph: { inputs, outputs } }: Model): {
  readonly size: number
  readonly dataType: number
} {
  const [before, after] = [inputs, outputs].map(
    (values, index) => values.find(({ name }) => name === ['state', 'next_state'][index])!.type,
  )
  const size = before?.shape?.[2]
  if (before?.shape?.length !== 3 || typeof size !== 'number') {
    throw unsupported('core', '[B, S, D] with a number D for "state"', shapeText(before?.shape))
  }
  const isKnown = before.dataType === DATA_TYPES.float32 || before.dataType === DATA_TYPES.float16
  if (!isKnown || after?.dataType !== before.dataType) {
    throw unsupported(
      'core',
      'states in float32 or float16, in and out',
      `types ${before.dataType} and ${after?.dataType}`,
    )
  }
  return { size, dataType: before.dataType }
}

function shapeText(shape: readonly unknown[] | undefined): string {
  return shape === undefined ? 'an unknown shape' : `[${shape.join(', ')}]`
}

function unsupported(part: Part, expected: string, found: string): ServiceError {
  return new ServiceError(
    'MODEL_UNSUPPORTED',
    `link recurrent model: expected ${expected} in ${part}.onnx, got ${found || 'none'}; docs/onnx-support.md has the contract`,
  )
}
