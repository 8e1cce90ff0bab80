/**
 * @file What a row keeps of the states of its single tokens: the states of the last one, the sums of gated token
 * rewards, and, when a consolidation asks, the states themselves.
 */

import type { GatedSums, TokenMaps } from '#ports'
import { createTensor, type Tensor } from '#tensor'

/** Outputs of one run for one row; `K*D` is the width of the scored states of a token. */
export interface TokenTrace {
  /** Scored states of the last counted position, `[K*D]`. */
  readonly last: Float32Array
  /** Null for a row without maps. */
  readonly gated: GatedSums | null
  /** Scored states of the counted positions that were fed, `[n, K*D]`; null unless fetched. */
  readonly states: Float32Array | null
}

/** Outputs of the generation graph for all rows of a run. */
export interface TokenFetches {
  /** `[B, K*D]`. */
  readonly lastStates: Float32Array
  /** `[B, 2, V]`, V the number of versions of `maps`. */
  readonly gatedSums: Float32Array
  /** `[B, S, K*D]`; null unless fetched, which is of use only in runs of one step. */
  readonly states: Float32Array | null
}

interface TracedRow {
  readonly tokenMaps?: TokenMaps | null
}

/** Returns the maps of the rows, one of each version. */
export function distinctMaps(rows: readonly TracedRow[]): readonly TokenMaps[] {
  const byVersion = new Map<string, TokenMaps>()
  for (const { tokenMaps } of rows) if (tokenMaps) byVersion.set(tokenMaps.version, tokenMaps)
  return [...byVersion.values()]
}

/** Returns the inputs `token_maps` `[2, K*D, V]` and `token_biases` `[2, V]`; zeros of one version without maps. */
export function tokenMapFeeds(
  maps: readonly TokenMaps[],
  width: number,
): Readonly<Record<'token_maps' | 'token_biases', Tensor>> {
  const versions = Math.max(1, maps.length)
  const weights = new Float32Array(2 * width * versions)
  const biases = new Float32Array(2 * versions)
  for (const [version, { weights: own, biases: ownBiases }] of maps.entries()) {
    for (let i = 0; i < 2 * width; i++) weights[i * versions + version] = own[i]!
    for (const [part, bias] of ownBiases.entries()) biases[part * versions + version] = bias
  }
  return {
    token_maps: createTensor('float32', [2, width, versions], weights),
    token_biases: createTensor('float32', [2, versions], biases),
  }
}

/**
 * Returns the part of row `index`.
 *
 * @param counted positions of the row, among the S fed ones, that count: from the first to before the last
 */
export function traceOf(
  { lastStates, gatedSums, states }: TokenFetches,
  {
    maps,
    row,
    index,
    rows,
  }: {
    readonly maps: readonly TokenMaps[]
    readonly row: TracedRow
    readonly index: number
    readonly rows: number
  },
  counted: readonly [number, number],
): TokenTrace {
  const width = lastStates.length / rows
  const versions = Math.max(1, maps.length)
  const version = maps.findIndex((each) => each.version === row.tokenMaps?.version)
  const at = 2 * versions * index + version
  const fed = states?.subarray((index * states.length) / rows, ((index + 1) * states.length) / rows)
  return {
    last: lastStates.subarray(index * width, (index + 1) * width),
    gated: version < 0 ? null : { reward: gatedSums[at]!, gate: gatedSums[at + versions]! },
    states: fed?.subarray(counted[0] * width, counted[1] * width) ?? null,
  }
}

/** Adds the trace of a later run to that of the runs before it; null before the first counted position. */
export function addTraces(before: TokenTrace | null, next: TokenTrace): TokenTrace {
  return {
    last: next.last.slice(),
    gated:
      before?.gated && next.gated
        ? { reward: before.gated.reward + next.gated.reward, gate: before.gated.gate + next.gated.gate }
        : next.gated,
    states: next.states && joined(before?.states ?? new Float32Array(), next.states),
  }
}

/** Returns at most `count` rows of `[n, width]`, spread evenly, the last one included. */
export function spread(states: Float32Array, width: number, count: number): Float32Array {
  const rows = states.length / width
  if (rows <= count) return states
  const out = new Float32Array(count * width)
  for (let i = 0; i < count; i++) {
    const row = Math.floor(((i + 1) * rows) / count) - 1
    out.set(states.subarray(row * width, (row + 1) * width), i * width)
  }
  return out
}

function joined(first: Float32Array, second: Float32Array): Float32Array {
  const out = new Float32Array(first.length + second.length)
  out.set(first)
  out.set(second, first.length)
  return out
}
