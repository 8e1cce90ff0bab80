/**
 * @file The start that weaver and memory propose: other first latents, the tokens they decode to, and the answer that grows from
 * those (LatentEvolve, arXiv 2509.24771, Eq. 8).
 */

import {
  type AnswerMemo,
  agreeingPositions,
  type EpisodeTokens,
  identityWeaver,
  type SearchPoint,
  takeLatents,
  transferMomentum,
  untilEos,
  type WeighedNeighbour,
} from '#algorithms'
import type { Engine } from '#engine'
import { coerceError, hasCode } from '#errors'
import type { Latents, Weaver, WeaverRow } from '#ports'
import type { Answers } from '../answers.ts'
import type { SolverLogger } from '../contract.ts'
import type { Settings } from '../settings.ts'
import type { SolveState } from '../solve-state.ts'
import { unlessAborted } from '../unless-aborted.ts'

/** Each result is computed once, when it is first asked for; null when nothing moves the start, or the time is up. */
export interface WarmStart {
  /** Ids of the episodes whose latents have moved the start; none before it was asked for. */
  readonly movedBy: readonly string[]
  /** The tokens that the moved latents decode to. */
  prefix(): Promise<readonly number[] | null>
  /**
   * The judged answer that grows from the prefix. It costs an evaluation unless the memo knows the prefix; null also when no
   * token is left to decode.
   */
  point(): Promise<SearchPoint | null>
}

export interface WarmStartDeps {
  readonly engine: Pick<Engine, 'head' | 'eosTokenIds'>
  readonly weaver: Weaver
  readonly settings: Pick<Settings, 'transfer'>
  readonly signal: AbortSignal
  readonly logger: SolverLogger
  readonly state: SolveState
}

export interface WarmStartOptions {
  /** The draft's first latents. */
  readonly zBase: Latents
  /** The draft's tokens, at least those of `zBase`. */
  readonly tokens: readonly number[]
  readonly neighbours: readonly WeighedNeighbour[]
  readonly memo: AnswerMemo
  readonly answers: Pick<Answers, 'isExhausted'>
}

interface Start {
  readonly latents: Latents
  readonly prefix: readonly number[]
}

export function createWarmStart(
  deps: WarmStartDeps,
  embedding: Float32Array | null,
  { zBase, tokens: draft, neighbours, memo, answers }: WarmStartOptions,
): WarmStart {
  const { engine, weaver, settings, state, signal } = deps
  const isCut = settings.transfer.shifts === 'agreeing'
  let movedBy: readonly string[] = []
  const isMoved = weaver.version !== null || neighbours.length > 0
  let start: Promise<Start | null> | undefined
  let point: Promise<SearchPoint | null> | undefined

  async function transfer(embedding: Float32Array): Promise<Start | null> {
    const shifting = neighbours.filter((each) => hasShift(deps, each))
    const positions = isCut ? await positionsOf(deps, draft, shifting) : shifting.map(() => zBase.length)
    movedBy = shifting
      .filter((_, index) => positions[index] !== 0)
      .map(({ neighbour }) => neighbour.episodeId)
    const moved = { row: { embedding, zBase }, neighbours: shifting, positions }
    const latents = await unlessAborted(signal, () => movedLatents(deps, moved))
    if (latents === null) return null
    const tokens = untilEos(await engine.head.decode(latents, signal), engine.eosTokenIds)
    const flip = tokens.findIndex((token, position) => token !== draft[position])
    if (!isCut || flip === -1) return { latents, prefix: tokens }
    // The latents after a token that changes are of a prefix that no longer exists.
    return { latents: takeLatents(latents, flip + 1), prefix: tokens.slice(0, flip + 1) }
  }

  async function evaluate(from: Start): Promise<SearchPoint | null> {
    if (answers.isExhausted(1)) return null
    const [evaluation] = await memo.evaluate([from.prefix])
    return { evaluation: evaluation!, ...from, step: 0 }
  }

  async function inTime<T>(work: () => Promise<T | null>): Promise<T | null> {
    try {
      return await state.meter.time('optimizeMs', work, 'warm start')
    } catch (error) {
      // Out of time: the draft stands.
      if (hasCode(error, 'ABORTED') && signal.aborted) return null
      throw error
    }
  }

  const started = () =>
    (start ??= embedding !== null && isMoved ? inTime(() => transfer(embedding)) : Promise.resolve(null))
  return {
    get movedBy() {
      return movedBy
    },
    prefix: async () => (await started())?.prefix ?? null,
    point: () => (point ??= started().then((from) => from && inTime(() => evaluate(from)))),
  }
}

/** A good draft is stored with z* = z_base, whose shift is zero unless a weaver moves z_base. */
function hasShift({ weaver, settings }: WarmStartDeps, { neighbour, weight }: WeighedNeighbour): boolean {
  if (weight === 0) return false
  if (weaver.version !== null && settings.transfer.momentum === 'residual') return true
  const { zBase, zStar } = neighbour
  return zStar.data.some((value, index) => value !== zBase.data[index])
}

/** Returns the number of positions at which the shift of each neighbour counts. */
async function positionsOf(
  { engine, signal }: WarmStartDeps,
  draft: readonly number[],
  neighbours: readonly WeighedNeighbour[],
): Promise<readonly number[]> {
  if (neighbours.length === 0) return []
  const latents = neighbours.flatMap(({ neighbour }) => [neighbour.zBase, neighbour.zStar])
  const tokens = await decodeTogether(engine, latents, signal)
  const tokensOf = (index: number): EpisodeTokens => ({
    base: tokens[2 * index]!,
    star: tokens[2 * index + 1]!,
  })
  return neighbours.map((_, index) => agreeingPositions(draft, tokensOf(index)))
}

/** Returns the argmax tokens of several latents, from one call of the head. */
async function decodeTogether(
  { head }: WarmStartDeps['engine'],
  parts: readonly Latents[],
  signal: AbortSignal,
): Promise<readonly (readonly number[])[]> {
  const width = parts[0]!.width
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const data = new Float32Array(length * width)
  let offset = 0
  const places = parts.map((part) => {
    data.set(part.data, offset * width)
    offset += part.length
    return [offset - part.length, offset] as const
  })
  const tokens = await head.decode({ data, length, width }, signal)
  return places.map(([from, to]) => tokens.slice(from, to))
}

interface Moved {
  readonly row: WeaverRow
  readonly neighbours: readonly WeighedNeighbour[]
  /** Number of positions at which the shift of each neighbour counts. */
  readonly positions: readonly number[]
}

/** Momentum transfer goes on without a weaver that fails; without weaver and neighbours, z_base stays where it is. */
async function movedLatents(
  { weaver, settings, state, logger }: WarmStartDeps,
  { row, neighbours, positions }: Moved,
): Promise<Latents> {
  const { momentum, maxShift } = settings.transfer
  const options = { momentum, maxShift, positions }
  try {
    return await transferMomentum(row, neighbours, { weaver, ...options })
  } catch (error) {
    if (weaver.version === null || hasCode(error, 'ENGINE_CRASHED')) throw error
    state.degraded.add('weaver')
    logger.warn({ err: coerceError(error), weaver: weaver.version }, 'weaver failed: solving without it')
    return transferMomentum(row, neighbours, { weaver: identityWeaver, ...options })
  }
}
