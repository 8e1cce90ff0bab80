/** @file Which brackets of an answer belong together, and which hold several items. */

import type { Token } from './maths-tokens.ts'
import { NotMaths } from './ratio.ts'

export const SEPARATORS: ReadonlySet<string> = new Set([',', 'and', 'or'])

export interface Brackets {
  /** Places of opening brackets. */
  readonly openings: ReadonlySet<number>
  /** Place of the closing bracket by that of its opening one, for brackets with a separator directly inside, or nothing. */
  readonly sequences: ReadonlyMap<number, number>
}

/**
 * Finds the bracket that closes each one. Round and square brackets may close each other: [0,1), ]0,1[.
 *
 * @throws NotMaths for a bracket without the other
 */
export function matchBrackets(tokens: readonly Token[]): Brackets {
  const openings = new Set<number>()
  const sequences = new Map<number, number>()
  const open: { at: number; square: boolean; several: boolean }[] = []
  tokens.forEach(({ kind, text }, at) => {
    if (kind !== 'mark') return
    const top = open.at(-1)
    const next = tokens[at + 1]?.text
    const isLast = next === undefined || SEPARATORS.has(next) || next === '∪'
    const closesOpen = text === '[' && top !== undefined && top.square && top.several && isLast
    const opensOpen = text === ']' && (top === undefined || tokens[top.at]?.text === '{')
    if (SEPARATORS.has(text)) {
      if (top) top.several = true
    } else if (opensOpen || (!closesOpen && '([{'.includes(text))) {
      openings.add(at)
      open.push({ at, square: text === '[' || text === ']', several: false })
    } else if (closesOpen || ')]}'.includes(text)) {
      const opened = open.pop()
      if (opened === undefined) throw new NotMaths('a bracket that nothing opens')
      if ((tokens[opened.at]?.text === '{') !== (text === '}'))
        throw new NotMaths('a bracket of another kind')
      if (opened.several || opened.at + 1 === at) sequences.set(opened.at, at)
    }
  })
  if (open.length > 0) throw new NotMaths('a bracket that nothing closes')
  return { openings, sequences }
}
