/** @file Reads the values of an answer: expressions with units behind them. */

import { type Brackets, matchBrackets } from './match-brackets.ts'
import { FUNCTIONS, type Token } from './maths-tokens.ts'
import { NotMaths, ratio } from './ratio.ts'
import {
  addSums,
  constant,
  divideSums,
  factorial,
  INFINITY,
  isConstant,
  multiplySums,
  negateSum,
  powerOf,
  ratioOf,
  type Sum,
  symbol,
  writeSum,
} from './sum.ts'

/** Upper bound on the expressions inside each other. */
const MAX_DEPTH = 96
/** What may stand behind infinity. */
const ENDS = new Set([',', 'and', 'or', ')', ']', '[', '}', '∪', '=', '<', '>', '<=', '>='])
const SCALES: Readonly<Record<string, bigint>> = {
  hundred: 100n,
  thousand: 1_000n,
  million: 1_000_000n,
  billion: 1_000_000_000n,
  trillion: 1_000_000_000_000n,
}
/** Words that make another statement of a number: they are no unit. */
const NO_UNITS = new Set(
  (
    'not no more less than to of between is are at most least from by about dozen squared cubed each plus minus times ' +
    'over under above below mod modulo choose percent am pm bc ad bce ce north south east west left right ' +
    'january february march april may june july august september october november december'
  ).split(' '),
)

/** A reader that stands at a token. Its methods read from there, and throw NotMaths for what no mathematics is. */
export class ExpressionReader {
  protected readonly tokens: readonly Token[]
  protected readonly brackets: Brackets
  protected at = 0
  /** Sign of ± in this reading. */
  protected sign = 1n
  /** Whether ± was read. */
  protected hasSigns = false
  private depth = 0

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
    this.brackets = matchBrackets(tokens)
  }

  protected value(): Sum {
    const sum = this.expression()
    return isConstant(sum) ? multiplySums(sum, this.unit()) : sum
  }

  /** Skips a unit of at most three words; a million counts. */
  private unit(): Sum {
    let scale = constant(ratio(1n))
    for (let words = 0; this.isWord(); words++) {
      const braces = this.peek()?.text === '{' ? 1 : 0
      this.at += braces
      for (; this.peek()?.kind === 'word'; words++) {
        const { text } = this.tokens[this.at]!
        if (NO_UNITS.has(text.toLowerCase()) || words > 3) throw new NotMaths('words that are no unit')
        const factor = SCALES[text.toLowerCase()]
        if (factor !== undefined) scale = multiplySums(scale, constant(ratio(factor)))
        this.at += 1
        this.unitPower()
        const isPer = this.peek()?.text === '/' && ['word', 'name'].includes(this.peek(1)?.kind ?? '')
        if (isPer) {
          this.at += this.peek(1)?.kind === 'name' ? 2 : 1
          this.unitPower()
        }
      }
      if (braces > 0) this.take('}')
      this.unitPower()
    }
    return scale
  }

  private isWord(): boolean {
    return this.peek()?.kind === 'word' || (this.peek()?.text === '{' && this.peek(1)?.kind === 'word')
  }

  private unitPower(): void {
    if (this.peek()?.text !== '^') return
    this.at += 1
    this.exponent()
  }

  private expression(): Sum {
    return this.nested(() => {
      let sum = this.signed()
      for (let next = this.peek()?.text; next === '+' || next === '-' || next === '±' || next === '∓'; ) {
        sum = addSums(sum, this.signed())
        next = this.peek()?.text
      }
      return sum
    })
  }

  private signed(): Sum {
    let isNegative = false
    for (; ['+', '-', '±', '∓'].includes(this.peek()?.text ?? ''); this.at++) {
      const { text } = this.tokens[this.at]!
      if (text === '±' || text === '∓') this.hasSigns = true
      if (text === '-' || (text === '±' && this.sign < 0n) || (text === '∓' && this.sign > 0n))
        isNegative = !isNegative
    }
    const term = this.term()
    return isNegative ? negateSum(term) : term
  }

  private term(): Sum {
    let product = this.mixed()
    for (;;) {
      const next = this.peek()
      if (next?.text === '*' && next.kind === 'mark') {
        this.at += 1
        product = multiplySums(product, this.factorWithSign())
      } else if (next?.text === '/' && next.kind === 'mark') {
        this.at += 1
        product = divideSums(product, this.factorWithSign())
      } else if (this.beginsFactor()) product = multiplySums(product, this.factor())
      else return product
    }
  }

  /** Reads a factor that may be the whole number of 1 1/2 or of `1\frac{1}{2}`. */
  private mixed(): Sum {
    const whole = this.peek()
    const first = this.factor()
    if (whole?.kind !== 'number' || !/^\d+$/.test(whole.text) || this.tokens[this.at - 1] !== whole)
      return first
    const start = this.at
    const isPlain = this.peek()?.kind === 'number' && this.peek()?.gap && this.peek(1)?.text === '/'
    if (!isPlain && this.peek()?.text !== 'frac') return first
    const numerator = isPlain ? this.factor() : null
    if (isPlain) this.at += 1
    const fraction = ratioOf(numerator === null ? this.factor() : divideSums(numerator, this.factor()))
    const isProper = fraction !== null && fraction.top > 0n && fraction.top < fraction.bottom
    if (isProper) return addSums(first, constant(fraction))
    this.at = start
    return first
  }

  private factorWithSign(): Sum {
    if (this.peek()?.text !== '-') return this.factor()
    this.at += 1
    return negateSum(this.factor())
  }

  /** Whether the next token is multiplied without a sign: `2x`, `2(x+1)`, `2\pi`; never two numbers. */
  private beginsFactor(): boolean {
    const next = this.peek()
    if (next === undefined || this.isWord()) return false
    if (next.kind === 'number') return false
    if (next.kind === 'name') return true
    return (
      next.text === 'frac' || (this.brackets.openings.has(this.at) && !this.brackets.sequences.has(this.at))
    )
  }

  private factor(): Sum {
    let base = this.base()
    for (
      let next = this.peek()?.text;
      next === '^' || next === '!' || next === '%';
      next = this.peek()?.text
    ) {
      this.at += 1
      if (next === '^') base = powerOf(base, this.exponent())
      else if (next === '!') base = factorial(base)
      else base = multiplySums(base, constant(ratio(1n, 100n)))
    }
    return base
  }

  private exponent(): Sum {
    if (this.peek()?.text === '-' || this.peek()?.text === '+') {
      const isNegative = this.tokens[this.at++]!.text === '-'
      const exponent = this.exponent()
      return isNegative ? negateSum(exponent) : exponent
    }
    const base = this.base()
    if (this.peek()?.text !== '^') return base
    this.at += 1
    return powerOf(
      base,
      this.nested(() => this.exponent()),
    )
  }

  private base(): Sum {
    const token = this.peek()
    if (token === undefined) throw new NotMaths('an end where a value is expected')
    this.at += 1
    if (token.kind === 'number') return this.subscripted(token.text, numberOf(token.text))
    if (token.kind === 'name') return this.name(token.text)
    if (token.text === 'frac') {
      const top = this.base()
      return divideSums(top, this.base())
    }
    if (token.kind === 'mark' && '([{'.includes(token.text)) return this.group(token.text)
    throw new NotMaths(`${token.text} where a value is expected`)
  }

  private name(name: string): Sum {
    if (name === 'sqrt') return this.root()
    if (FUNCTIONS.has(name)) return this.call(name)
    if (name === INFINITY) this.checkInfinity()
    return this.subscripted(name, symbol(name))
  }

  /** @throws NotMaths for a calculation with infinity, whose value no reader knows */
  private checkInfinity(): void {
    const next = this.peek()
    if (next !== undefined && !ENDS.has(next.text)) throw new NotMaths('a calculation with infinity')
  }

  /** Reads the subscript of a variable, or the base of a number such as 1010_2. */
  private subscripted(name: string, plain: Sum): Sum {
    if (this.peek()?.text !== '_') return plain
    this.at += 1
    const subscript = writeSum(this.base())
    if (!/^\w{1,16}$/.test(subscript)) throw new NotMaths('a subscript that is an expression')
    return symbol(/^\d/.test(name) ? `{${name}_${subscript}}` : `${name}_${subscript}`)
  }

  private root(): Sum {
    let degree = constant(ratio(2n))
    if (this.peek()?.text === '[') {
      this.at += 1
      degree = this.group('[')
    }
    const radicand = this.base()
    return powerOf(radicand, divideSums(constant(ratio(1n)), degree))
  }

  private call(name: string): Sum {
    let base = ''
    let exponent: Sum | null = null
    if (this.peek()?.text === '_') {
      this.at += 1
      base = `_${writeSum(this.base())}`
    }
    if (this.peek()?.text === '^') {
      this.at += 1
      exponent = this.exponent()
    }
    const next = this.peek()?.text
    const isBracketed = next === '(' || next === '{'
    let argument = isBracketed ? this.base() : this.factorWithSign()
    if (!isBracketed) {
      while (this.beginsFactor() && !FUNCTIONS.has(this.peek()?.text ?? ''))
        argument = multiplySums(argument, this.factor())
    }
    if (base !== '' && !/^_\w+$/.test(base)) throw new NotMaths('a base that is an expression')
    const called =
      name === 'exp' ? powerOf(symbol('e'), argument) : symbol(`${name}${base}(${writeSum(argument)})`)
    return exponent === null ? called : powerOf(called, exponent)
  }

  private group(opening: string): Sum {
    if (this.brackets.sequences.has(this.at - 1)) throw new NotMaths('a list where a value is expected')
    const sum = this.nested(() => this.value())
    this.take({ '(': ')', '[': ']', '{': '}' }[opening] ?? '')
    return sum
  }

  protected take(text: string): void {
    if (this.peek()?.text !== text) throw new NotMaths(`something else than ${text}`)
    this.at += 1
  }

  protected peek(offset = 0): Token | undefined {
    return this.tokens[this.at + offset]
  }

  protected nested<T>(read: () => T): T {
    this.depth += 1
    if (this.depth > MAX_DEPTH) throw new NotMaths('too many brackets inside each other')
    const result = read()
    this.depth -= 1
    return result
  }
}

/** Returns a number token's value; powers of ten beyond the bound are kept as powers. */
function numberOf(decimal: string): Sum {
  const [mantissa = '', exponent = '0'] = decimal.split('e')
  const [whole = '', decimals = ''] = mantissa.split('.')
  const digits = constant(ratio(BigInt(whole + decimals)))
  return multiplySums(
    digits,
    powerOf(constant(ratio(10n)), constant(ratio(BigInt(exponent) - BigInt(decimals.length)))),
  )
}
