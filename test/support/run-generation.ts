/** @file Runs compiled generation graphs: feeds from rows, results by row. */

import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { cacheHeads, type DecoderDescription, MAX_CANDIDATES, TOKEN_SIGNALS } from '#decoder'
import type { SamplingRules } from '#ports'
import { scoredWidth } from '../../src/decoder/token-states.ts'

export interface GenerationBatch {
  /** Tokens to feed per row, padded to the longest. */
  readonly rows: readonly (readonly number[])[]
  /** Side of the pads; left by default. */
  readonly padding?: 'left' | 'right'
  /** Caches of the batch, `[B, K, P, h]` each, and a mask of the P positions per row. */
  readonly past?: { readonly caches: readonly Tensor[]; readonly mask: readonly (readonly number[])[] }
  readonly steps: number
  readonly temperature?: readonly number[]
  /** Rules of each row; none by default. */
  readonly sampling?: readonly SamplingRules[]
  /** Tokens that a row's repetition penalty applies to, as many for every row; none by default. */
  readonly seenTokens?: readonly (readonly number[])[]
  /** `[N][B]`. */
  readonly uniforms?: readonly (readonly number[])[]
  readonly finished?: readonly boolean[]
  readonly remaining?: readonly number[]
  readonly eos?: readonly number[]
  readonly pad?: number
  /** Index of each row's first token whose states count in its thought; no token counts by default. */
  readonly thoughtFrom?: readonly number[]
  /** False: no signals of tokens are computed; true by default. */
  readonly signals?: boolean
  /** False: no thoughts and token states are computed; true by default. */
  readonly thoughts?: boolean
  /** Maps of the token states, `[2, K*D, V]` and `[2, V]`; zeros of one version by default. */
  readonly tokenMaps?: { readonly weights: Tensor; readonly biases: Tensor }
  /** Of a depth-recurrent model. */
  readonly recurrent?: {
    /** Returns s_0 of position `position` of row `row`, `[D]`. */
    readonly noise: (row: number, position: number) => Float32Array
    readonly recurrences: readonly number[]
    /** -1 by default. */
    readonly tolerances?: readonly number[]
  }
}

export interface GenerationResult {
  /** `[B][n]`, pads included. */
  readonly tokens: number[][]
  /** `[B][n]` of `[D]`. */
  readonly hiddenStates: Float32Array[][]
  /** `[B][n]` of `[TOKEN_SIGNALS]`. */
  readonly signals: number[][][]
  readonly finished: boolean[]
  readonly remaining: number[]
  /** `[B]` of `[L+1, D]`. */
  readonly thoughtSums: Float32Array[]
  /** `last_states`, `gated_sums` and `token_states`, as the graph returns them. */
  readonly tokenStates: Readonly<Record<'last' | 'gated' | 'fed', Tensor | undefined>>
  readonly caches: Tensor[]
  /** `[B][n]`; empty of an ordinary decoder. */
  readonly recurrences: number[][]
  /** Mask over `caches` for the next run: 0 for pads, 1 for decoded tokens. */
  readonly mask: number[][]
}

/** Returns the feeds of a compiled generation graph. */
export function generationFeeds(
  description: DecoderDescription,
  batch: GenerationBatch,
): Record<string, Tensor> {
  const { keyValueHeads: K, headSize: h } = description
  const { rows, steps, eos = [], pad = 0, padding = 'left' } = batch
  const B = rows.length
  const S = Math.max(...rows.map((row) => row.length))
  const padded = (row: readonly number[], filler: number) => {
    const fill = new Array<number>(S - row.length).fill(filler)
    return padding === 'left' ? [...fill, ...row] : [...row, ...fill]
  }
  const names = cacheNames(description, 'past_key_values')
  const empty = names.map((_, i) => {
    const heads = cacheHeads({ heads: K, recurrence: description.recurrence }, i >> 1)
    return new Tensor('float32', new Float32Array(), [B, heads, 0, h])
  })
  const pastMask = batch.past?.mask ?? rows.map(() => [])
  const positions = (row: readonly number[], b: number) => {
    const past = pastMask[b]!.reduce((sum, bit) => sum + bit, 0)
    return padded(
      row.map((_, i) => past + i),
      0,
    )
  }
  const weights = (row: readonly number[], b: number) =>
    padded(
      row.map((_, i) => (i >= (batch.thoughtFrom?.[b] ?? row.length) ? 1 : 0)),
      0,
    )
  const uniforms = batch.uniforms ?? new Array<number[]>(steps).fill(rows.map(() => 0))
  return {
    steps: ints([steps], []),
    input_ids: ints(
      rows.flatMap((row) => padded(row, pad)),
      [B, S],
    ),
    attention_mask: ints(feedMask(batch).flat(), [B, pastMask[0]!.length + S]),
    position_ids: ints(rows.flatMap(positions), [B, S]),
    ...Object.fromEntries(names.map((name, i) => [name, batch.past?.caches[i] ?? empty[i]!])),
    last_index: ints(
      rows.map((row) => (padding === 'left' ? S : row.length) - 1),
      [B],
    ),
    uniforms: floats(uniforms.flat(), [uniforms.length, B]),
    temperature: floats(batch.temperature ?? rows.map(() => 0), [B]),
    top_k: ints(
      rows.map((_, b) => batch.sampling?.[b]?.topK || MAX_CANDIDATES),
      [B],
    ),
    top_p: floats(
      rows.map((_, b) => batch.sampling?.[b]?.topP ?? 1),
      [B],
    ),
    min_p: floats(
      rows.map((_, b) => batch.sampling?.[b]?.minP ?? 0),
      [B],
    ),
    repetition_penalty: floats(
      rows.map((_, b) => batch.sampling?.[b]?.repetitionPenalty ?? 1),
      [B],
    ),
    seen_tokens: ints(batch.seenTokens?.flat() ?? [], [B, batch.seenTokens?.[0]?.length ?? 0]),
    finished: new Tensor('bool', Uint8Array.from(batch.finished ?? rows.map(() => false), Number), [B]),
    remaining: ints(batch.remaining ?? rows.map(() => 1_000_000), [B]),
    eos_token_ids: ints(eos, [eos.length]),
    pad_token_id: ints([pad], []),
    with_signals: new Tensor('bool', Uint8Array.of(Number(batch.signals ?? true)), []),
    ...(description.layerStates && {
      with_thoughts: new Tensor('bool', Uint8Array.of(Number(batch.thoughts ?? true)), []),
      thought_weights: floats(rows.flatMap(weights), [B, S]),
      token_maps:
        batch.tokenMaps?.weights ??
        zeros([
          2,
          scoredWidth({ states: description.layerStates.length, hiddenSize: description.hiddenSize }),
          1,
        ]),
      token_biases: batch.tokenMaps?.biases ?? zeros([2, 1]),
    }),
    ...recurrentFeeds(description, batch, pastMask),
  }
}

function recurrentFeeds(
  { recurrence }: DecoderDescription,
  { rows, steps, recurrent }: GenerationBatch,
  pastMask: readonly (readonly number[])[],
): Record<string, Tensor> {
  if (recurrence === null || recurrent === undefined) return {}
  const [B, S, D] = [rows.length, Math.max(...rows.map((row) => row.length)), recurrence.stateSize]
  const first = (row: number) => pastMask[row]!.reduce((sum, bit) => sum + bit, 0)
  const initial = rows.flatMap((row, b) => {
    const pads = new Array<number>((S - row.length) * D).fill(0)
    return [...pads, ...row.flatMap((_, i) => [...recurrent.noise(b, first(b) + i)])]
  })
  const later = Array.from({ length: steps }, (_, i) =>
    rows.flatMap((row, b) => [...recurrent.noise(b, first(b) + row.length + i)]),
  )
  return {
    initial_states: floats(initial, [B, S, D]),
    later_states: floats(later.flat(), [steps, B, D]),
    recurrences: ints(recurrent.recurrences, [B]),
    tolerances: floats(recurrent.tolerances ?? rows.map(() => -1), [B]),
  }
}

function zeros(dims: readonly number[]): Tensor {
  return floats(new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims)
}

/** Runs one chunk. */
export async function runGeneration(
  session: InferenceSession,
  description: DecoderDescription,
  batch: GenerationBatch,
): Promise<GenerationResult> {
  const { rows } = batch
  const results = await session.run(generationFeeds(description, batch))
  const tokens = Array.from(results['tokens']!.data as BigInt64Array, Number)
  const hidden = results['hidden_states']!.data as Float32Array
  const [n, B, D] = results['hidden_states']!.dims as [number, number, number]
  const size = (description.layerStates?.length ?? 0) * D
  const sums = results['thought_sums']?.data as Float32Array | undefined
  const signals = results['token_signals']!.data as Float32Array
  const W = TOKEN_SIGNALS
  const taken = Array.from((results['recurrences_taken']?.data ?? []) as BigInt64Array, Number)
  const times = Array.from({ length: n }, (_, i) => i)
  return {
    tokens: rows.map((_, b) => times.map((i) => tokens[i * B + b]!)),
    hiddenStates: rows.map((_, b) => times.map((i) => hidden.slice((i * B + b) * D, (i * B + b + 1) * D))),
    signals: rows.map((_, b) => times.map((i) => [...signals.slice((i * B + b) * W, (i * B + b + 1) * W)])),
    finished: Array.from(results['finished_next']!.data as Uint8Array, Boolean),
    remaining: Array.from(results['remaining_next']!.data as BigInt64Array, Number),
    thoughtSums: rows.flatMap((_, b) => sums?.slice(b * size, (b + 1) * size) ?? []),
    tokenStates: {
      last: results['last_states'],
      gated: results['gated_sums'],
      fed: results['token_states'],
    },
    recurrences: taken.length === 0 ? [] : rows.map((_, b) => times.map((i) => taken[i * B + b]!)),
    caches: cacheNames(description, 'present').map((name) => results[name]!),
    mask: feedMask(batch).map((row) => [...row, ...new Array<number>(n - 1).fill(1)]),
  }
}

function feedMask({ rows, past, padding = 'left' }: GenerationBatch): number[][] {
  const S = Math.max(...rows.map((row) => row.length))
  return rows.map((row, b) => {
    const pads = new Array<number>(S - row.length).fill(0)
    const ones = new Array<number>(row.length).fill(1)
    return [...(past?.mask[b] ?? []), ...(padding === 'left' ? [...pads, ...ones] : [...ones, ...pads])]
  })
}

function cacheNames({ layers }: DecoderDescription, stem: string): string[] {
  return Array.from({ length: layers }, (_, i) => [`${stem}.${i}.key`, `${stem}.${i}.value`]).flat()
}

export function ints(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
}

export function floats(values: ArrayLike<number>, dims: readonly number[]): Tensor {
  return new Tensor('float32', Float32Array.from(values), dims)
}
