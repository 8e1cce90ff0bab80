/** @file Stages of a profile within one budget of time, and their progress on a terminal. */

import { concurrently } from '#evaluation'
import { drawBar, type ProgressStream, timeLeft } from '#models'

interface StageOptions {
  readonly name: string
  /** Share of the budget by whose end no item of the stage begins. */
  readonly until: number
}

export interface Stages {
  /**
   * Runs items in order, several at once, until all are done, the stage's share of the budget is over, or the command
   * is stopped; an item that has begun ends.
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
  return {
    async run({ name, until }, items, work) {
      const beganAt = now()
      const restMs = () => startedAt + until * budgetMs - now()
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
        const result = await work(item)
        done += 1
        draw()
        return result
      })
      const seconds = Math.round((now() - beganAt) / 1000)
      stream.write(`${stream.isTTY ? '\r\u001b[K' : ''}${name}: ${done} of ${items.length} in ${seconds} s\n`)
      return results
    },
  }
}
