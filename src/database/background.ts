/** @file Background work, whose statements give way to those of callers. */

import { AsyncLocalStorage } from 'node:async_hooks'

const background = new AsyncLocalStorage<true>()

/** Runs `work`, whose statements wait while those of callers do, and have a bounded share of the connections then. */
export function asBackground<T>(work: () => T): T {
  return background.run(true, work)
}

/** Returns whether `asBackground` is running. */
export function isBackground(): boolean {
  return background.getStore() === true
}
