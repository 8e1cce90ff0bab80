/**
 * @file Six families of arithmetic problems in plain English, in five difficulties, for models that read text.
 *
 * Problems are generated, so no model has memorised them. Every problem belongs to tuning or to publishing, by a hash
 * of its numbers: settings that were chosen on the one are measured on the other, whatever the seeds.
 */

import { createHash } from 'node:crypto'
import { createRandom, type Random } from '#tensor'

/** Append only: the place of a family decides what is drawn. */
export const FAMILIES = ['sums', 'products', 'equations', 'divisors', 'shopping', 'facts'] as const
export type Family = (typeof FAMILIES)[number]

export const USES = ['tuning', 'publishing'] as const
type Use = (typeof USES)[number]

export const MAX_DIFFICULTY = 5

export interface ArithmeticProblem {
  readonly id: string
  readonly question: string
  /** A whole number. */
  readonly answer: string
  /** Family and difficulty, such as `sums-2`. */
  readonly family: string
}

export interface ArithmeticOptions {
  readonly family: Family
  /** 1 to 5. */
  readonly difficulty: number
  readonly use: Use
  readonly count: number
  readonly seed: number
}

/** A problem and the numbers that make it: two wordings of the same numbers are one problem. */
interface Drawn {
  readonly key: string
  readonly question: string
  readonly answer: number
}

type Draw = (random: Random, difficulty: number) => Drawn

/** Draws without a new problem after which a family is taken to be exhausted. */
const MAX_MISSES = 3000

/**
 * Returns `count` different problems. The same options give the same problems, and a larger count only adds to them.
 *
 * @throws Error when the family has fewer problems of this difficulty and use
 */
export function makeArithmetic(options: ArithmeticOptions): ArithmeticProblem[] {
  const { family, difficulty, use, count, seed } = options
  const stream = (FAMILIES.indexOf(family) * USES.length + USES.indexOf(use)) * MAX_DIFFICULTY + difficulty
  const random = createRandom(seed, stream)
  const problems = new Map<string, ArithmeticProblem>()
  for (let misses = 0; problems.size < count; ) {
    const { key, question, answer } = DRAWS[family](random, difficulty)
    if (problems.has(key) || useOf(family, key) !== use) {
      misses += 1
      if (misses < MAX_MISSES) continue
      throw new Error(
        `problems: expected a count up to about ${problems.size} of ${family}-${difficulty} for ${use}, got ${count}`,
      )
    }
    misses = 0
    const id = `${family}-${difficulty}-${use}-${seed}-${problems.size + 1}`
    problems.set(key, { id, question, answer: String(answer), family: `${family}-${difficulty}` })
  }
  return [...problems.values()]
}

function useOf(family: Family, key: string): Use {
  const hash = createHash('sha256').update(`${family} ${key}`).digest().readUInt32BE(0)
  return hash % 2 === 0 ? 'tuning' : 'publishing'
}

/** Sums and differences of two to five numbers, never below zero on the way. */
function drawSum(random: Random, difficulty: number): Drawn {
  const terms = [2, 3, 3, 4, 5][difficulty - 1] ?? 2
  const largest = [99, 99, 999, 999, 9999][difficulty - 1] ?? 99
  const smallest = Math.floor(largest / 10) + 1
  let answer = whole(random, smallest, largest)
  let chain = String(answer)
  const signed = [answer]
  while (signed.length < terms) {
    const number = whole(random, smallest, largest)
    const minus = number <= answer && random.uniform() < 0.4
    answer += minus ? -number : number
    chain += ` ${minus ? '-' : '+'} ${number}`
    signed.push(minus ? -number : number)
  }
  const key = signed.sort((one, other) => one - other).join(' + ')
  return { key, answer, question: pick(random, CALCULATIONS).replace('{}', chain) }
}

const CALCULATIONS = [
  'What is {}?',
  'Calculate {}.',
  'Work out {}.',
  'How much is {}?',
  'Find the value of {}.',
  '{} = ?',
]

/** Ranges of both factors, by difficulty. */
const PRODUCT_RANGES = [
  [12, 149, 3, 9],
  [11, 99, 11, 19],
  [21, 99, 21, 99],
  [101, 999, 11, 99],
  [101, 999, 101, 999],
] as const

/** Products of two numbers of one to three digits. */
function drawProduct(random: Random, difficulty: number): Drawn {
  const [low, high, least, most] = PRODUCT_RANGES[difficulty - 1] ?? PRODUCT_RANGES[0]
  const left = whole(random, low, high)
  const right = whole(random, least, most)
  const product = random.uniform() < 0.5 ? `${left} * ${right}` : `${left} times ${right}`
  const question = pick(random, CALCULATIONS.slice(0, 5)).replace('{}', product)
  const key = `${Math.min(left, right)} * ${Math.max(left, right)}`
  return { key, answer: left * right, question }
}

/** Linear equations in one unknown, whose solution is a whole number. */
function drawEquation(random: Random, difficulty: number): Drawn {
  const x = whole(random, 2, 80)
  const a = whole(random, 2, difficulty < 4 ? 12 : 19)
  const b = whole(random, 2, 99)
  const c = whole(random, 2, a)
  const name = pick(random, ['x', 'y', 'n', 'k', 't'])
  const form = [
    `${name} + ${b} = ${x + b}`,
    `${a}${name} = ${a * x}`,
    `${a}${name} + ${b} = ${a * x + b}`,
    `${a}(${name} + ${b}) = ${a * (x + b)}`,
    `${a + c}${name} + ${b} = ${c}${name} + ${a * x + b}`,
  ][difficulty - 1]
  const question = pick(random, [
    `Solve for ${name}: ${form}`,
    `Find the value of ${name} if ${form}.`,
    `What is ${name} in the equation ${form}?`,
    `If ${form}, what is ${name}?`,
  ])
  return { key: `${form}`.replaceAll(name, 'x'), answer: x, question }
}

/** Greatest common divisors and least common multiples. */
function drawDivisor(random: Random, difficulty: number): Drawn {
  const isMultiple = difficulty === 3 || difficulty === 4
  const factor = whole(random, 2, [12, 20, 12, 12, 24][difficulty - 1] ?? 12)
  const most = [16, 20, 15, 20, 24][difficulty - 1] ?? 16
  const numbers = Array.from(
    { length: difficulty === 5 ? 3 : 2 },
    () => factor * whole(random, 2, most),
  ).sort((one, other) => one - other)
  // Equal numbers would give themselves away.
  if (new Set(numbers).size < numbers.length) return drawDivisor(random, difficulty)
  const list = `${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)}`
  const divisor = numbers.reduce(greatestDivisor)
  const answer = isMultiple
    ? numbers.reduce((one, other) => (one * other) / greatestDivisor(one, other))
    : divisor
  const question = pick(random, isMultiple ? MULTIPLES : DIVISORS).replace('{}', list)
  return { key: list, answer, question }
}

const DIVISORS = [
  'What is the greatest common divisor of {}?',
  'Find the greatest common divisor of {}.',
  'What is the largest number that divides {} without a remainder?',
]

const MULTIPLES = [
  'What is the least common multiple of {}?',
  'Find the least common multiple of {}.',
  'What is the smallest positive number that {} both divide?',
]

/** Purchases: one or more kinds of things, a coupon, the change from a note, a discount in percent. */
function drawPurchase(random: Random, difficulty: number): Drawn {
  const kinds = [1, 2, 2, 2, 3][difficulty - 1] ?? 1
  const things = shuffle(random, THINGS).slice(0, kinds)
  const [most, dearest] = kinds === 1 ? [12, 69] : [9, 19]
  const bought = things.map((thing) => ({
    thing,
    count: whole(random, 2, most),
    price: whole(random, 2, dearest),
  }))
  const total = bought.reduce((sum, { count, price }) => sum + count * price, 0)
  const name = pick(random, NAMES)
  const list = bought.map(({ thing, count, price }) => `${count} ${thing} at $${price} each`)
  const buys = `${name} buys ${list.length > 1 ? `${list.slice(0, -1).join(', ')} and ` : ''}${list.at(-1)}.`
  const numbers = bought
    .map(({ count, price }) => `${count} x ${price}`)
    .sort()
    .join(' + ')
  const ask = (key: string, rest: string, answer: number) => ({
    key: `${numbers} ${key}`,
    answer,
    question: `${buys} ${rest}`,
  })
  const note = Math.ceil((total + 1) / 50) * 50
  const coupon = whole(random, 2, Math.min(9, total - 1))
  switch (difficulty) {
    case 3:
      return ask(`of ${note}`, `How many dollars of change does ${name} get from $${note}?`, note - total)
    case 4: {
      const pays = `A coupon takes $${coupon} off. How many dollars of change does ${name} get from $${note}?`
      return ask(`- ${coupon} of ${note}`, pays, note - total + coupon)
    }
    case 5: {
      const off = pick(random, [10, 20, 25, 50].filter((percent) => (total * percent) % 100 === 0).concat(0))
      if (off === 0) return drawPurchase(random, difficulty)
      const pays = `There is a discount of ${off}% on everything. How many dollars does ${name} pay?`
      return ask(`- ${off}%`, pays, total - (total * off) / 100)
    }
    default:
      return ask('', pick(random, TOTALS).replace('{}', name), total)
  }
}

const NAMES = [
  'Anna',
  'Ben',
  'Carla',
  'David',
  'Emma',
  'Farid',
  'Grace',
  'Hugo',
  'Ines',
  'Jack',
  'Lena',
  'Omar',
]

const THINGS = [
  'notebooks',
  'pens',
  'apples',
  'cups',
  'tickets',
  'plants',
  'books',
  'candles',
  'shirts',
  'lamps',
  'toys',
  'sandwiches',
]

const TOTALS = [
  'How many dollars does {} pay?',
  'How much does {} pay in dollars?',
  'What is the total cost in dollars?',
]

/** Sums, differences and products of two numbers that a child knows by heart, for very small models. */
function drawFact(random: Random, difficulty: number): Drawn {
  const largest = [20, 25, 30, 40, 50][difficulty - 1] ?? 20
  const [one, other] = [whole(random, 2, largest), whole(random, 2, largest)]
  const [great, small] = [Math.max(one, other), Math.min(one, other)]
  const fact = pick(random, [
    { text: `${one} + ${other}`, answer: one + other },
    { text: `${great} - ${small}`, answer: great - small },
    { text: `${one} * ${other}`, answer: one * other },
  ])
  return {
    key: fact.text,
    answer: fact.answer,
    question: pick(random, CALCULATIONS).replace('{}', fact.text),
  }
}

const DRAWS: Readonly<Record<Family, Draw>> = {
  sums: drawSum,
  products: drawProduct,
  equations: drawEquation,
  divisors: drawDivisor,
  shopping: drawPurchase,
  facts: drawFact,
}

function greatestDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestDivisor(other, one % other)
}

/** A whole number from `least` to `most`, both included. */
function whole(random: Random, least: number, most: number): number {
  return least + Math.floor(random.uniform() * (most - least + 1))
}

function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(random.uniform() * values.length)]!
}

function shuffle<Value>(random: Random, values: readonly Value[]): Value[] {
  return values
    .map((value) => ({ value, place: random.uniform() }))
    .sort((one, other) => one.place - other.place)
    .map(({ value }) => value)
}
