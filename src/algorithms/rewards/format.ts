/**
 * @file The `format` term: rules that need no model.
 *
 * Why a rule about the restated problem: optimisation learns to solve another problem that the judge accepts (84 of 88
 * passed-but-wrong answers at a high learning rate had an altered restatement, in the experiments before this project).
 */

import type { Answer } from './judgement.ts'
import type { RewardTerm } from './reward-judge.ts'

export interface FormatRule {
  readonly name: string
  holds(answer: Answer): boolean
}

/** 0 when every rule holds, else -1; each rule is a part of its own. */
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
