/** @file Random JSON for bodies of requests, the same on every run. */

import { createRandom } from '#tensor'

/** What random values are made of. */
export interface Words {
  readonly strings: readonly string[]
  /** Names of fields, those of the schema and others. */
  readonly names: readonly string[]
  /** Whole values that stand where any value may stand. */
  readonly values: readonly unknown[]
}

/** Strings that programs mistake for something else. */
export const STRANGE_STRINGS = ['', 'x', '\u0000', '\ud800', '👍', '__proto__', 'auto']
const NUMBERS = [0, -0, 1, -1, 0.5, 2, 64, 65, 256, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 5e-324]
/** Depth from which on values hold no others. */
const MAX_DEPTH = 3
const MAX_CHANGES = 3

export function createRandomJson(seed: number, { strings, names, values }: Words) {
  const random = createRandom(seed)
  const below = (limit: number) => Math.floor(random.uniform() * limit)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T
  const chance = (probability: number) => random.uniform() < probability
  const several = <T>(limit: number, make: () => T) => Array.from({ length: below(limit) }, make)

  function anything(depth = 0): unknown {
    const leaves = [
      () => pick(strings),
      () => pick(NUMBERS),
      () => chance(0.5),
      () => null,
      () => String.fromCharCode(...several(8, () => below(0x10000))),
      ...(values.length > 0 ? [() => pick(values)] : []),
    ]
    const branches = [
      () => several(4, () => anything(depth + 1)),
      () => Object.fromEntries(several(5, () => [pick(names), anything(depth + 1)])),
    ]
    return pick(depth > MAX_DEPTH ? leaves : [...leaves, ...branches])()
  }

  return {
    below,
    pick,
    chance,
    anything: () => anything(),
    /** Returns a valid body with up to `MAX_CHANGES` changes, so that many bodies pass the first check. */
    almostValid(valid: object): object {
      const body: Record<string, unknown> = structuredClone({ ...valid })
      for (let changes = below(MAX_CHANGES + 1); changes > 0; changes -= 1) {
        const name = pick(names)
        if (chance(0.3)) delete body[name]
        else body[name] = anything()
      }
      return body
    },
  }
}
