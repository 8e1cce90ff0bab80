/** @file What the rules that choose a policy are worth: policies chosen on some questions, measured on all others. */

import { bandOf, choosePolicy, follow, hasRounds, type MeasuredQuestion, type measureArms } from '#algorithms'
import { mean } from '#evaluation'
import { createRandom } from '#tensor'

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

/** Arms under one judge. */
export interface JudgedArms {
  /** On questions that policies may be chosen on; they are measured on the rest of these, and on `others`. */
  readonly tuning: ReturnType<typeof measureArms>
  readonly others: ReturnType<typeof measureArms>
}

export function measureRule({ rounds, bands, price }: Rule, judges: readonly JudgedArms[]): RuleFigures {
  const measured = judges.flatMap(({ tuning, others }, place) => {
    const names = Object.entries(tuning.arms)
      .filter(([, arm]) => rounds || !hasRounds(arm))
      .map(([name]) => name)
    return Array.from({ length: DRAWS }, (_, draw) => {
      const drawn = shuffle(tuning.questions, place * DRAWS + draw)
      const own = drawn.slice(0, CHOSEN_ON).map((question) => onlyArms(question, names))
      const policy = choosePolicy(own, { price, bands })
      const rest = [...drawn.slice(CHOSEN_ON), ...others.questions]
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
