/**
 * @file Problems of the bundled model's task, "which order of operations?" (training/task.py is the Python side).
 *
 * A chain of three or four digit operations modulo 10, asked at a place: "Eve at the till: 6 + 4 * 7 - 4 - 5 = ?". The
 * place tells the family; the family has one true convention. Chains on which all conventions agree are not used.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRandom, type Random } from '#tensor'

export type Rule = 'left' | 'times' | 'right'

/** `train`: chains that training may use; `heldout`: known families, chains it never uses; `unseen`: unknown families too. */
export type Split = 'train' | 'heldout' | 'unseen'

export interface Problem {
  /** What a person types. */
  readonly question: string
  /** The digit, as `/solve` returns it. */
  readonly answer: string
  readonly family: string
}

interface Family {
  readonly family: string
  readonly rule: Rule
  readonly nouns: readonly string[]
}

interface Families {
  readonly names: readonly string[]
  readonly trained: readonly Family[]
  readonly unseen: readonly Family[]
}

const { names, trained, unseen }: Families = JSON.parse(
  readFileSync(new URL('families.json', import.meta.url), 'utf8'),
)

export { trained as trainedFamilies, unseen as unseenFamilies }

export const splits = ['train', 'heldout', 'unseen'] as const satisfies readonly Split[]

const rules = ['left', 'times', 'right'] as const satisfies readonly Rule[]

/** Whether a chain, e.g. `['6', '+', '4', '*', '7']`, is in the fifth that no training text uses. */
export function isHeldOut(chain: readonly string[]): boolean {
  return createHash('sha256').update(chain.join('')).digest().readUInt32BE(0) % 5 === 0
}

/** The result of a chain of digits and operators under a convention, modulo 10. */
export function evaluateChain(chain: readonly string[], rule: Rule): number {
  const digits = chain.filter((_, i) => i % 2 === 0).map(Number)
  const operators = chain.filter((_, i) => i % 2 === 1)
  while (operators.length > 0) {
    const i = nextOperation(operators, rule)
    const [operator] = operators.splice(i, 1)
    const [a = 0, b = 0] = digits.slice(i, i + 2)
    const result = operator === '+' ? a + b : operator === '-' ? a - b + 10 : a * b
    digits.splice(i, 2, result % 10)
  }
  return digits[0] ?? 0
}

/** `count` problems; the same split and seed give the same problems, and a larger count only adds to them. */
export function makeProblems(options: {
  readonly split: Split
  readonly count: number
  readonly seed: number
}): Problem[] {
  const random = createRandom(options.seed, splits.indexOf(options.split))
  const families = options.split === 'unseen' ? unseen : trained
  return Array.from({ length: options.count }, () => makeProblem(random, families, options.split !== 'train'))
}

function makeProblem(random: Random, families: readonly Family[], heldOut: boolean): Problem {
  for (;;) {
    const chain = [pick(random, digits)]
    const operations = pick(random, [3, 4])
    for (let i = 0; i < operations; i++) chain.push(pick(random, ['+', '-', '*']), pick(random, digits))
    if (!chain.includes('*') || isHeldOut(chain) !== heldOut || conventionsAgree(chain)) continue
    const { family, rule, nouns } = pick(random, families)
    const name = pick(random, names)
    const who = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
    return {
      question: `${who} at the ${pick(random, nouns)}: ${chain.join(' ')} = ?`,
      answer: String(evaluateChain(chain, rule)),
      family,
    }
  }
}

const digits = [...'0123456789']

function conventionsAgree(chain: readonly string[]): boolean {
  return new Set(rules.map((rule) => evaluateChain(chain, rule))).size === 1
}

function nextOperation(operators: readonly string[], rule: Rule): number {
  if (rule === 'left') return 0
  if (rule === 'right') return operators.length - 1
  return Math.max(0, operators.indexOf('*'))
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random.uniform() * values.length)] as T
}
