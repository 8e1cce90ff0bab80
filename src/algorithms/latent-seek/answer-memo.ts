/**
 * @file Answers already seen in one request, by the prefix they grew from.
 *
 * Greedy continuation and the judge are deterministic, so the same prefix means the same answer and the same reward:
 * reusing them changes nothing but the cost (on the bundled model it spares half to four fifths of the evaluations).
 */

import type { Evaluation } from '../rewards/judgement.ts'
import { untilEos } from './prefix.ts'

export interface AnswerMemo {
  /** Answers grown from these prefixes, in order. Only unseen ones are completed and judged, in one batch, each once. */
  evaluate(prefixes: readonly (readonly number[])[]): Promise<readonly Evaluation[]>
  /** Files an answer that was grown elsewhere (the draft) under a prefix of it. */
  remember(prefix: readonly number[], evaluation: Evaluation): void
  /** New answers judged through this memo so far. */
  readonly evaluations: number
}

export interface AnswerMemoOptions {
  readonly eosTokenIds: readonly number[]
  /** Completes prefixes to answers and judges them, in order; a prefix that ends in EOS is the answer itself. */
  complete(prefixes: readonly (readonly number[])[]): Promise<readonly Evaluation[]>
}

export function createAnswerMemo({ eosTokenIds, complete }: AnswerMemoOptions): AnswerMemo {
  const seen = new Map<string, Evaluation>()
  const keyOf = (prefix: readonly number[]) => untilEos(prefix, eosTokenIds).join(' ')
  let evaluations = 0

  return {
    get evaluations() {
      return evaluations
    },
    remember(prefix, evaluation) {
      seen.set(keyOf(prefix), evaluation)
    },
    async evaluate(prefixes) {
      const fresh = new Map<string, readonly number[]>()
      for (const prefix of prefixes) {
        const key = keyOf(prefix)
        if (!seen.has(key)) fresh.set(key, untilEos(prefix, eosTokenIds))
      }
      const completed = fresh.size === 0 ? [] : await complete([...fresh.values()])
      ;[...fresh.keys()].forEach((key, index) => {
        seen.set(key, completed[index]!)
      })
      evaluations += completed.length
      return prefixes.map((prefix) => seen.get(keyOf(prefix))!)
    },
  }
}
