/** @file Stages of a profile within one budget of time, and their progress on a terminal. */

import { hasCode } from '#errors'
import { concurrently } from '#evaluation'
import { drawBar, type ProgressStream, timeLeft } from '#models'

interface StageOptions {
  readonly name: string
  /** Share of the budget; time that earlier stages left comes on top. No item begins after it. */
  readonly share: number
}

export interface Stages {
  /**
   * Runs items in order, several at once, until all are done, the stage's share of the budget is over, or the command
   * is stopped, which drops the items in progress. Else an item that has begun ends, and the time beyond the share is not taken from later stages.
   *
   * @returns results in the order of the items; null for an item that did not begin
   */
  run<Item, Result>(
    options: StageOptions,
    items: readonly Item[],
    work: (item: Item) => Promise<Result>,
  ): Promise<(Result | null)[]>
}

export interface StagesOptions {
  readonly budgetMs: number
  readonly concurrency: number
  readonly stop: AbortSignal
  readonly stream: ProgressStream
  /** Clock in ms; `performance.now` unless given. */
  readonly now?: () => number
}

/** The budget begins now. */
export function createStages({ budgetMs, concurrency, stop, stream, ...options }: StagesOptions): Stages {
  const now = options.now ?? (() => performance.now())
  const startedAt = now()
  let shares = 0
  return {
    async run({ name, share: own }, items, work) {
      const beganAt = now()
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
        if (stop.aborted || restMs() <= 0) return null
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
