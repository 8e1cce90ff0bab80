/**
 * @file The `format` term: rules that are checked without the model.
 *
 * One rule of the callers compares the restated problem with the original, because optimisation can drift to
 * another problem that the judge accepts: in the experiments before this project, 84 of 88 passed-but-wrong
 * answers at a high learning rate had an altered restatement.
 */

import type { Answer } from './judgement.ts'
import type { RewardTerm } from './reward-judge.ts'

export interface FormatRule {
  readonly name: string
  holds(answer: Answer): boolean
}

/** Creates the `format` term: 0 when every rule holds, else -1. Each rule is reported as a part, 0 or -1. */
export function createFormatTerm(rules: readonly FormatRule[], weight: number): RewardTerm {
  return {
    name: 'format',
    weight,
    async score(answers) {
      return answers.map((answer) => {
        const parts = Object.fromEntries(rules.map((rule) => [rule.name, rule.holds(answer) ? 0 : -1]))
        return { value: Math.min(0, ...Object.values(parts)), parts }
      })
    },
  }
}
