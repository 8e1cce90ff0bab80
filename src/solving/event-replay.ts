/** @file Events of a solve that may have to start over. */

import type { SolveEvent } from './types.ts'

/**
 * A request has one seed, so a second attempt tells the same story. It replays in silence as far as the first one had
 * got, and goes on from there: a listener sees every event once, and no trace of the crash.
 *
 * @returns gives each attempt its own `emit`.
 */
export function createEventReplay(
  onEvent: ((event: SolveEvent) => void) | undefined,
): () => (event: SolveEvent) => void {
  let delivered = 0
  return () => {
    let told = 0
    return (event) => {
      told += 1
      if (told <= delivered) return
      delivered = told
      onEvent?.(event)
    }
  }
}
