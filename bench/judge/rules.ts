/** @file What the rules that choose a policy are worth: policies chosen on some questions, measured on all others. */

import { bandOf, choosePolicy, type MeasuredQuestion, measureArms, type PolicyAnswer } from '#algorithms'
import { mean } from '#evaluation'
import { createRandom } from '#tensor'
import type { Judge } from './nights.ts'

export interface Rule {
  readonly name: string
  /** Whether arms may sample in rounds. */
  readonly rounds: boolean
  /** Numbers of bands to choose from. */
  readonly bands: readonly number[]
  readonly price: number
}

/** Each piece of the rule left out in turn, at the prices of the efforts. */
export const RULES: readonly Rule[] = [
  { name: 'low', rounds: true, bands: [1, 2, 4], price: 0.02 },
  { name: 'medium', rounds: true, bands: [1, 2, 4], price: 0.01 },
  { name: 'medium, no rounds', rounds: false, bands: [1, 2, 4], price: 0.01 },
  { name: 'medium, always four bands', rounds: true, bands: [4], price: 0.01 },
  { name: 'high', rounds: true, bands: [1, 2, 4], price: 0.003 },
  { name: 'high, no rounds', rounds: false, bands: [1, 2, 4], price: 0.003 },
  { name: 'high, always four bands', rounds: true, bands: [4], price: 0.003 },
]

/** Questions that a policy is chosen on, about those of two days. */
export const CHOSEN_ON = 200
const DRAWS = 8

/** Accuracy above that of the drafts, and tokens as a multiple of theirs: means over draws of the questions and over judges. */
export interface RuleFigures {
  readonly gain: number
  readonly tokens: number
  /** Standard deviation of the gain over draws and judges. */
  readonly deviation: number
}

/** @param tuning answers to questions that policies may be chosen on; they are measured on the rest of these and on `others` */
export function measureRule(
  { rounds, bands, price }: Rule,
  judges: Iterable<Judge>,
  { tuning, others }: { readonly tuning: readonly PolicyAnswer[]; readonly others: readonly PolicyAnswer[] },
): RuleFigures {
  const measured = [...judges].flatMap(({ weights }, place) => {
    const [chosenFrom, apart] = [measureArms(weights, tuning), measureArms(weights, others)]
    const names = Object.entries(chosenFrom.arms)
      .filter(([, { stopAbove }]) => rounds || stopAbove === undefined)
      .map(([name]) => name)
    return Array.from({ length: DRAWS }, (_, draw) => {
      const drawn = shuffle(chosenFrom.questions, place * DRAWS + draw)
      const own = drawn.slice(0, CHOSEN_ON).map((question) => onlyArms(question, names))
      const policy = choosePolicy(own, { price, bands })
      const rest = [...drawn.slice(CHOSEN_ON), ...apart.questions]
      const outcomes = rest.map((question) => follow(question, bandOf(policy, question.confidence).arm))
      return {
        gain: mean(outcomes.map(({ accuracy }, index) => accuracy - rest[index]!.draft.accuracy)),
        tokens: mean(outcomes.map(({ tokens }) => tokens)) / mean(rest.map(({ draft }) => draft.tokens)),
      }
    })
  })
  const gain = mean(measured.map((one) => one.gain))
  return {
    gain,
    tokens: mean(measured.map((one) => one.tokens)),
    deviation: Math.sqrt(mean(measured.map((one) => (one.gain - gain) ** 2))),
  }
}

function onlyArms({ arms, ...question }: MeasuredQuestion, names: readonly string[]): MeasuredQuestion {
  return { ...question, arms: Object.fromEntries(names.map((name) => [name, arms[name]!])) }
}

function shuffle<Item>(items: readonly Item[], seed: number): readonly Item[] {
  const random = createRandom(seed)
  return items
    .map((item) => ({ item, place: random.uniform() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item)
}

function follow({ draft, arms }: MeasuredQuestion, name: string): MeasuredQuestion['draft'] {
  const arm = arms[name]
  return arm === undefined ? draft : { ...arm, tokens: draft.tokens + arm.tokens }
}
