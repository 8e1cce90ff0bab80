/** @file The key of an answer that is mathematics: numbers, expressions, lists, sets, tuples, intervals, equations. */

import { SEPARATORS } from './match-brackets.ts'
import { tokensOf } from './maths-tokens.ts'
import { compare, NotMaths, ratio } from './ratio.ts'
import { ExpressionReader } from './read-expression.ts'
import {
  addSums,
  constant,
  INFINITY,
  isCall,
  isConstant,
  isName,
  negateSum,
  primitive,
  ratioOf,
  type Sum,
  symbol,
  writeSum,
} from './sum.ts'

/** An item of an answer: its key; its sum, if it is an expression; the lower bound, if it is an interval. */
interface Item {
  readonly key: string
  /** The name on the left of `x = 3`. */
  readonly name?: string
  readonly sum?: Sum
  readonly isInterval?: boolean
}

const RELATIONS = new Set(['=', '<', '>', '<=', '>='])
const MARKUP = '$*`"\'\u2018\u2019\u201C\u201D\u00AB\u00BB \t\r\n'
/** Dates, ranges and scores, which are no calculations. */
const OTHER = [
  /^\d{1,4}[-\u2012-\u2015]\d{1,4}(?:[-\u2012-\u2015]\d{1,4})?$/,
  /^\d{1,4} ?[\u2012-\u2015] ?\d{1,4}$/,
  /^\d{1,4}\/\d{1,4}\/\d{1,4}$/,
]
const WORDS = /^[A-Za-z .'"!?&-]*$/

/**
 * Returns the key of an answer as mathematics, in plain text (`1/2`, `sqrt(2)/2`, `{1,2}`, `(0,infinity)`); null
 * when the text is no mathematics that is understood. Equal keys are equal values: nothing is rounded. The time
 * is bounded whatever the text is: by 1,024 characters, 512 tokens, 96 expressions inside each other, 512 bits of a
 * number and 32 terms of a sum. Beyond them a text is no mathematics, and a power keeps its writing.
 */
export function mathsKey(text: string): string | null {
  const written = withoutMarkup(text)
  if (isWords(written) || OTHER.some((pattern) => pattern.test(written))) return null
  try {
    const key = new AnswerReader(tokensOf(written)).answer()
    // The case of a variable alone does not matter: it may be a choice.
    return key.length === 1 ? key.toLowerCase() : key
  } catch (error) {
    if (error instanceof NotMaths) return null
    throw error
  }
}

/** Returns the text without the quotation marks, dollars, asterisks and backticks around it, and without punctuation behind. */
export function withoutMarkup(text: string): string {
  let [start, end] = [0, text.length]
  const isMarkup = (at: number) => MARKUP.includes(text.charAt(at))
  while (start < end && isMarkup(start)) start += 1
  while (start < end && (isMarkup(end - 1) || '.,;:?'.includes(text.charAt(end - 1)))) end -= 1
  return text.slice(start, end)
}

/** Whether a text is words, or one letter. */
function isWords(text: string): boolean {
  return WORDS.test(text) && (/[A-Za-z]{2}/.test(text) || !text.includes('-'))
}

/** Reads the items of an answer. */
class AnswerReader extends ExpressionReader {
  answer(): string {
    const { items, hasOr } = this.items(this.tokens.length)
    const [only, ...more] = items
    if (only === undefined) throw new NotMaths('nothing')
    if (more.length === 0) return only.key
    if (hasOr && items.every(({ isInterval }) => isInterval)) return union(items).key
    return setOf(items).key
  }

  /** Reads items up to a place. */
  private items(end: number): { items: Item[]; separators: number; hasOr: boolean } {
    const items: Item[] = []
    let separators = 0
    let hasOr = false
    while (this.at < end) {
      items.push(...this.signedItems())
      if (this.at >= end) break
      const start = this.at
      for (; this.at < end && SEPARATORS.has(this.tokens[this.at]!.text); this.at++) {
        hasOr ||= this.tokens[this.at]!.text === 'or'
      }
      if (this.at === start || this.at >= end) throw new NotMaths('something behind an item')
      separators += 1
    }
    return { items, separators, hasOr }
  }

  /** Reads an item; one with ± is two. */
  private signedItems(): readonly Item[] {
    const start = this.at
    const outer = this.hasSigns
    this.hasSigns = false
    const first = this.item()
    if (!this.hasSigns) {
      this.hasSigns = outer
      return [first]
    }
    this.at = start
    this.sign = -1n
    const second = this.item()
    this.sign = 1n
    this.hasSigns = outer
    return [first, second]
  }

  private item(): Item {
    const isMember = this.peek(1)?.text === '∈' && this.peek()?.kind === 'name'
    const name = isMember ? { name: this.peek()!.text } : {}
    if (isMember) this.at += 2
    if (this.peek()?.text === '∅') {
      this.at += 1
      return { key: '{}', ...name }
    }
    if (this.peek()?.text === 'begin matrix') return this.matrix()
    if (!this.brackets.sequences.has(this.at)) return this.relation()
    const pieces = [this.sequence()]
    // (x,y) = (1,2)
    if (this.peek()?.text === '=' && this.brackets.sequences.has(this.at + 1)) {
      this.at += 1
      return { name: pieces[0]!.key, ...this.sequence() }
    }
    while (this.peek()?.text === '∪') {
      this.at += 1
      if (!this.brackets.sequences.has(this.at)) throw new NotMaths('a union of something else')
      pieces.push(this.sequence())
    }
    return { ...(pieces.length === 1 ? pieces[0]! : union(pieces)), ...name }
  }

  /** Reads a set, a tuple or an interval. */
  private sequence(): Item {
    const close = this.brackets.sequences.get(this.at)!
    const opening = this.tokens[this.at]!.text === ']' ? '(' : this.tokens[this.at]!.text
    this.at += 1
    const { items, separators } = this.nested(() => this.items(close))
    const closing = this.tokens[close]!.text === '[' ? ')' : this.tokens[close]!.text
    this.at = close + 1
    if (opening === '{') return setOf(items)
    if (items.length !== separators + 1) throw new NotMaths('a tuple with ±')
    const isPair = items.length === 2
    if (items.length < 2 || (!isPair && `${opening}${closing}` !== '()' && `${opening}${closing}` !== '[]')) {
      throw new NotMaths('brackets of two kinds around something else than two bounds')
    }
    return {
      key: `${opening}${items.map(({ key }) => key).join(',')}${closing}`,
      isInterval: isPair,
      sum: items[0]!.sum ?? constant(ratio(0n)),
    }
  }

  /** Reads a matrix, whose key is LaTeX without the kind of its brackets. */
  private matrix(): Item {
    this.at += 1
    let key = ''
    for (;;) {
      key += valueItem(this.value()).key
      if (this.peek()?.text === 'row' && this.peek(1)?.text === 'end matrix') this.at += 1
      const text = this.peek()?.text
      this.at += 1
      if (text === 'end matrix') return { key: `\\begin{matrix}${key}\\end{matrix}` }
      if (text === 'row') key += '\\\\'
      else if (text === '&') key += '&'
      else throw new NotMaths('something between the cells of a matrix')
    }
  }

  /** Reads an expression, an equation or an inequality, with units behind its values. */
  private relation(): Item {
    const isNamedCall = ['name', 'mark', 'name', 'mark', 'mark'].every(
      (kind, offset) => this.peek(offset)?.kind === kind,
    )
    const named = isNamedCall && `${this.peek(1)?.text}${this.peek(3)?.text}${this.peek(4)?.text}` === '()='
    const call = named ? { name: `${this.peek()?.text}(${this.peek(2)?.text})` } : {}
    if (named) this.at += 5
    const parts = [this.value()]
    const relations: string[] = []
    while (RELATIONS.has(this.peek()?.text ?? '')) {
      relations.push(this.tokens[this.at]!.text)
      this.at += 1
      if (this.brackets.sequences.has(this.at) && relations.join() === '=' && isName(parts[0]!)) {
        return { ...this.sequence(), name: writeSum(parts[0]!) }
      }
      parts.push(this.value())
    }
    if (relations.length === 0) return { ...valueItem(parts[0]!), ...call }
    const isEquation = relations.every((relation) => relation === '=')
    return { ...(isEquation ? equation(parts) : inequality(parts, relations)), ...call }
  }
}

/** @throws NotMaths for infinity with a factor or in a sum */
function valueItem(sum: Sum): Item {
  const key = writeSum(sum)
  if (key.includes(INFINITY) && key.replace('-', '') !== INFINITY)
    throw new NotMaths('a calculation with infinity')
  return { key, sum }
}

function equation(parts: readonly Sum[]): Item {
  const [first, last] = [parts[0]!, parts.at(-1)!]
  if (parts.every(isConstant)) return valueItem(last)
  if (isName(first) || (isConstant(last) && isCall(first)))
    return { ...valueItem(last), name: writeSum(first) }
  if (parts.length === 2 && isName(last)) return { ...valueItem(first), name: writeSum(last) }
  if (parts.length > 2) throw new NotMaths('a chain of equations')
  const difference = primitive(addSums(first, negateSum(last)), true)
  return { key: `${writeSum(difference)}=0` }
}

const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=' }

/** Returns `x > 3` as the interval (3,infinity), and `2 < x <= 5` as (2,5]; others as a sum above 0. */
function inequality(parts: readonly Sum[], relations: readonly string[]): Item {
  const isRising = relations.every((relation) => relation.startsWith('<'))
  const isFalling = relations.every((relation) => relation.startsWith('>'))
  if (!isRising && !isFalling) throw new NotMaths('relations of several kinds')
  const values = isRising ? parts : parts.toReversed()
  const signs = isRising ? relations : relations.map((relation) => MIRRORED[relation]!).toReversed()
  const closes = (sign: string | undefined) => sign === '<='
  const [low, middle, high] = values.length === 3 ? values : [null, values[0], values[1]]
  if (low != null && isConstant(low) && isName(middle!) && isConstant(high!)) {
    const bounds = interval(closes(signs[0]) ? '[' : '(', low, high!, closes(signs[1]) ? ']' : ')')
    return { ...bounds, name: writeSum(middle!) }
  }
  if (values.length !== 2) throw new NotMaths('a chain of inequalities')
  const [less, greater] = [values[0]!, values[1]!]
  const infinite = symbol(INFINITY)
  if (isName(less) && isConstant(greater)) {
    const bounds = interval('(', negateSum(infinite), greater, closes(signs[0]) ? ']' : ')')
    return { ...bounds, name: writeSum(less) }
  }
  if (isConstant(less) && isName(greater)) {
    return { ...interval(closes(signs[0]) ? '[' : '(', less, infinite, ')'), name: writeSum(greater) }
  }
  const difference = primitive(addSums(greater, negateSum(less)), false)
  return { key: `${writeSum(difference)}${closes(signs[0]) ? '>=' : '>'}0` }
}

function interval(opening: string, low: Sum, high: Sum, closing: string): Item {
  return {
    key: `${opening}${valueItem(low).key},${valueItem(high).key}${closing}`,
    isInterval: true,
    sum: low,
  }
}

/**
 * A set without order and repetition; a set of one item is the item. Items of several names keep them: x = 3, y = 4
 * is not x = 4, y = 3.
 */
function setOf(items: readonly Item[]): Item {
  const names = new Set(items.map(({ name }) => name).filter((name) => name !== undefined))
  const named = items.map((item) =>
    names.size > 1 && item.name !== undefined ? { key: `${item.name}=${item.key}` } : item,
  )
  const sorted = sortedOnce(named)
  return sorted.length === 1 ? sorted[0]! : { key: `{${sorted.map(({ key }) => key).join(',')}}` }
}

function union(pieces: readonly Item[]): Item {
  return {
    key: sortedOnce(pieces)
      .map(({ key }) => key)
      .join('∪'),
    isInterval: true,
  }
}

function sortedOnce(items: readonly Item[]): readonly Item[] {
  const distinct = [...new Map(items.map((item) => [item.key, item])).values()]
  const valued = distinct.map((item) => ({ item, value: item.sum === undefined ? null : ratioOf(item.sum) }))
  return valued
    .toSorted((a, b) => {
      const isLow = ({ item }: typeof a) => item.key.startsWith(`(-${INFINITY}`)
      if (isLow(a) !== isLow(b)) return isLow(a) ? -1 : 1
      if (a.value !== null && b.value !== null && compare(a.value, b.value) !== 0)
        return compare(a.value, b.value)
      if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1
      return a.item.key < b.item.key ? -1 : 1
    })
    .map(({ item }) => item)
}
