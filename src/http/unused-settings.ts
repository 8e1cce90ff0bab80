/** @file Refuses the settings of samples that the strategy of a request does not read. */

import type { Fault } from '#errors'
import type { SolveRequest, Strategy } from '#solving'

/** Settings of samples, and the strategies that read them. `auto` reads them where its policy samples. */
const READERS = {
  samples: ['auto', 'majority', 'lto', 'best-of-n', 'fork'],
  sampling: ['auto', 'majority', 'lto', 'best-of-n'],
  selector: ['auto', 'best-of-n'],
  weights: ['auto', 'majority'],
} as const satisfies Partial<Record<keyof SolveRequest, readonly Strategy[]>>

/**
 * Returns the fault of the first setting that would change nothing; null when there is none.
 *
 * @param pointer JSON pointer to the object that has the settings
 */
export function findUnused(
  settings: Partial<Pick<SolveRequest, keyof typeof READERS>>,
  strategy: Strategy,
  pointer = '',
): Fault | null {
  for (const [name, readers] of Object.entries<readonly Strategy[]>(READERS)) {
    if (!(name in settings) || readers.includes(strategy)) continue
    const detail = `expected none with the strategy ${strategy}, which does not read it (${readers.join(', ')} do), got one`
    return { pointer: `${pointer}/${name}`, detail }
  }
  return null
}
