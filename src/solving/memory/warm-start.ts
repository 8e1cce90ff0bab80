/**
 * @file The start that weaver and memory propose: other first latents, the tokens they decode to, and the answer that grows from
 * those (LatentEvolve, arXiv 2509.24771, Eq. 8).
 */

import {
  type AnswerMemo,
  identityWeaver,
  type SearchPoint,
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
  /** Ids of the episodes whose latents move the start. */
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
  { zBase, neighbours, memo, answers }: WarmStartOptions,
): WarmStart {
  const { engine, weaver, state, signal } = deps
  const isMoved = weaver.version !== null || neighbours.length > 0
  let start: Promise<Start | null> | undefined
  let point: Promise<SearchPoint | null> | undefined

  async function transfer(embedding: Float32Array): Promise<Start | null> {
    const latents = await unlessAborted(signal, () => movedLatents(deps, { embedding, zBase }, neighbours))
    if (latents === null) return null
    const tokens = await engine.head.decode(latents, signal)
    return { latents, prefix: untilEos(tokens, engine.eosTokenIds) }
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
    movedBy: neighbours.filter((each) => hasShift(deps, each)).map(({ neighbour }) => neighbour.episodeId),
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

/** Momentum transfer goes on without a weaver that fails; without weaver and neighbours, z_base stays where it is. */
async function movedLatents(
  { weaver, settings, state, logger }: WarmStartDeps,
  row: WeaverRow,
  neighbours: readonly WeighedNeighbour[],
): Promise<Latents> {
  try {
    return await transferMomentum(row, neighbours, { weaver, ...settings.transfer })
  } catch (error) {
    if (weaver.version === null || hasCode(error, 'ENGINE_CRASHED')) throw error
    state.degraded.add('weaver')
    logger.warn({ err: coerceError(error), weaver: weaver.version }, 'weaver failed: solving without it')
    return transferMomentum(row, neighbours, { weaver: identityWeaver, ...settings.transfer })
  }
}
