/** @file Where weaver and memory lead: other first latents, the tokens they decode to, and the answer that grows from those. */

import {
  type AnswerMemo,
  identityWeaver,
  type SearchPoint,
  transferMomentum,
  untilEos,
  type WeighedNeighbour,
} from '#algorithms'
import { coerceError, hasCode } from '#errors'
import type { Latents, WeaverRow } from '#ports'
import { outOfTokens, type Run } from './run.ts'
import { unlessAborted } from './unless-aborted.ts'

/** Everything is worked out once, when it is first asked for; null when there is nothing to follow, or no time. */
export interface Lead {
  prefix(): Promise<readonly number[] | null>
  /** Costs an evaluation unless the memo knows the prefix; null also when there is no token left to decode. */
  found(): Promise<SearchPoint | null>
}

export interface LeadOptions {
  readonly zBase: Latents
  readonly memo: AnswerMemo
  readonly embedding: Float32Array | null
  readonly neighbours: readonly WeighedNeighbour[]
}

interface Start {
  readonly latents: Latents
  readonly prefix: readonly number[]
}

export function createLead(run: Run, { zBase, memo, embedding, neighbours }: LeadOptions): Lead {
  const { engine, weaver, settings, signal } = run
  const leads = embedding !== null && (weaver.version !== null || neighbours.length > 0)
  let start: Promise<Start | null> | undefined
  let found: Promise<SearchPoint | null> | undefined

  async function transfer(): Promise<Start | null> {
    if (!leads) return null
    const latents = await unlessAborted(signal, () => moved({ embedding, zBase }, neighbours))
    if (latents === null) return null
    const tokens = await engine.head.decode(latents, signal)
    return { latents, prefix: untilEos(tokens, engine.eosTokenIds) }
  }

  /** Memory leads on without a weaver that fails; without either, z_base stays where it is. */
  async function moved(row: WeaverRow, near: readonly WeighedNeighbour[]): Promise<Latents> {
    try {
      return await transferMomentum(row, near, { weaver, ...settings.transfer })
    } catch (error) {
      if (weaver.version === null || hasCode(error, 'ENGINE_CRASHED')) throw error
      run.degraded.add('weaver')
      run.logger.warn(
        { err: coerceError(error), weaver: weaver.version },
        'the weaver failed: going on without it',
      )
      return transferMomentum(row, near, { weaver: identityWeaver, ...settings.transfer })
    }
  }

  async function evaluate(): Promise<SearchPoint | null> {
    const at = await started()
    if (at === null || outOfTokens(run)) return null
    const [evaluation] = await memo.evaluate([at.prefix])
    return { evaluation: evaluation!, ...at, step: 0 }
  }

  async function inTime<T>(work: () => Promise<T | null>): Promise<T | null> {
    try {
      return await run.meter.time('optimizeMs', work)
    } catch (error) {
      // Out of time: the draft is what there is.
      if (hasCode(error, 'ABORTED') && signal.aborted) return null
      throw error
    }
  }

  const started = () => (start ??= inTime(transfer))
  return {
    prefix: async () => (await started())?.prefix ?? null,
    found: () => (found ??= started().then(() => inTime(evaluate))),
  }
}
