/**
 * @file Chooses the prompt under which most greedy drafts are right: the profile's own unless another is better, or no worse in
 * far fewer tokens.
 */

import { wilson } from '#evaluation'
import type { DraftRecord } from './drafts.ts'
import { chooseBest } from './is-better.ts'

export interface PromptRow {
  readonly name: string
  readonly n: number
  readonly right: number
  readonly low: number
  readonly high: number
  /** Share of drafts with an answer that ended by themselves. */
  readonly whole: number
  /** Mean tokens of a draft. */
  readonly tokens: number
}

/**
 * Compares templates on the problems that all of them answered.
 *
 * @param drafts of each template, in the order of the problems; null: not answered
 * @returns a row for each template, and the place of the chosen one; the first is the profile's own
 */
export function choosePrompt(
  names: readonly string[],
  drafts: readonly (readonly (DraftRecord | null)[])[],
): { readonly rows: readonly PromptRow[]; readonly chosen: number } {
  const places = drafts[0]!.keys().filter((place) => drafts.every((own) => own[place] !== null))
  const shared = [...places]
  const rows = names.map((name, index) => {
    const own = shared.map((place) => drafts[index]![place]!)
    const right = own.filter((draft) => draft.right).length
    const share = own.length === 0 ? 0 : right / own.length
    const mean = (of: (draft: DraftRecord) => number) =>
      own.reduce((sum, draft) => sum + of(draft), 0) / Math.max(1, own.length)
    return {
      name,
      n: own.length,
      right,
      ...wilson(share, own.length),
      whole: mean(({ isWhole }) => Number(isWhole)),
      tokens: mean(({ tokens }) => tokens),
    }
  })
  const trials = names.map((_, index) => shared.map((place) => drafts[index]![place]!.right))
  return { rows, chosen: cheapest(rows, chooseBest(trials, 0)) }
}

/** Drafts below which nothing is known of a prompt's cost. */
const MIN_DRAFTS = 30
/** Share of the tokens that a prompt may take at most to replace another that has no more right drafts. */
const FEWER_TOKENS = 2 / 3

/** Returns the place of the row with the fewest tokens among those that may replace the one at `best`; else `best`. */
function cheapest(rows: readonly PromptRow[], best: number): number {
  const { n, right, tokens } = rows[best]!
  if (n < MIN_DRAFTS) return best
  const cheaper = rows.filter((row) => row.right >= right && row.tokens <= FEWER_TOKENS * tokens)
  const [first] = cheaper.toSorted((one, other) => one.tokens - other.tokens)
  return first === undefined ? best : rows.indexOf(first)
}
