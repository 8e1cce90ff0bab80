/** @file Stages of a profile within one budget of time, and their progress on a terminal. */

import { hasCode } from '#errors'
import { concurrently } from '#evaluation'
import { drawBar, type ProgressStream, timeLeft } from '#models'

interface StageOptions<Item> {
  readonly name: StageName
  /** Whether an item was measured in an earlier call: it is taken whatever the time; none unless given. */
  readonly isKnown?: (item: Item) => boolean
}

export interface Stages {
  /**
   * Runs items in order, several at once, until all are done, the stage's share of the budget (and the time that
   * earlier stages left) is over, or the command
   * is stopped, which drops the items in progress. Else an item that has begun ends, and the time beyond the share is not taken from later stages.
   *
   * @returns results in the order of the items; null for an item that did not begin
   */
  run<Item, Result>(
    options: StageOptions<Item>,
    items: readonly Item[],
    work: (item: Item) => Promise<Result>,
  ): Promise<(Result | null)[]>
}

export interface StagesOptions {
  readonly budgetMs: number
  readonly concurrency: number
  /** Names of the stages that measure anything new, which share the whole budget; all unless given. */
  readonly only?: readonly string[]
  readonly stop: AbortSignal
  readonly stream: ProgressStream
  /** Clock in ms; `performance.now` unless given. */
  readonly now?: () => number
}

/** Shares of the budget, by stage, in order. */
const SHARES = {
  prompts: 0.3,
  drafts: 0.2,
  embeddings: 0.1,
  samples: 0.2,
  rates: 0.13,
  rho: 0.07,
} as const

export type StageName = keyof typeof SHARES
export const STAGES = Object.keys(SHARES) as StageName[]

/** The budget begins now. */
export function createStages(options: StagesOptions): Stages {
  const { budgetMs, concurrency, only, stop, stream } = options
  const names = only ?? STAGES
  const total = STAGES.reduce((sum, name) => sum + (names.includes(name) ? SHARES[name] : 0), 0) || 1
  const now = options.now ?? (() => performance.now())
  const startedAt = now()
  let shares = 0
  return {
    async run({ name, isKnown = () => false }, items, work) {
      const beganAt = now()
      const isWanted = only?.includes(name) ?? true
      const own = isWanted ? SHARES[name] / total : 0
      shares += own
      const endsAt = Math.max(startedAt + shares * budgetMs, beganAt + own * budgetMs)
      const restMs = () => endsAt - now()
      let done = 0
      const draw = () => {
        const paceMs = (now() - beganAt) / Math.max(1, done)
        const leftMs = Math.max(0, Math.min(restMs(), paceMs * (items.length - done)))
        const share = Math.min(1, (now() - startedAt) / budgetMs)
        const text = `${name}: ${done} of ${items.length}, at most ${timeLeft(leftMs / 1000)} left here`
        if (stream.isTTY) drawBar(stream, share, text)
      }
      draw()
      const results = await concurrently(items, concurrency, async (item) => {
        if (!isKnown(item) && (stop.aborted || !isWanted || restMs() <= 0)) return null
        try {
          const result = await work(item)
          done += 1
          draw()
          return result
        } catch (thrown) {
          if (stop.aborted && hasCode(thrown, 'ABORTED')) return null
          throw thrown
        }
      })
      const seconds = Math.round((now() - beganAt) / 1000)
      stream.write(`${stream.isTTY ? '\r\u001b[K' : ''}${name}: ${done} of ${items.length} in ${seconds} s\n`)
      return results
    },
  }
}
