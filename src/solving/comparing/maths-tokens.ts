/** @file Cuts mathematics in LaTeX, plain text or Unicode into tokens, and decides which commas and points belong to numbers. */

import { canonicalDecimal, groupsThousands } from '../judging/decimal.ts'
import { MINUS_SIGNS, VULGAR_FRACTIONS, withAsciiDigits } from '../judging/find-number.ts'
import { plainText } from '../judging/plain-text.ts'
import { NotMaths } from './ratio.ts'

export interface Token {
  /**
   * `number`: digits, canonical. `name`: a variable, a constant or a function. `word`: a unit or a word.
   * `mark`: an operator, a bracket, a relation, a separator (`,`, `and`, `or`) or a command with arguments.
   */
  readonly kind: 'number' | 'name' | 'word' | 'mark'
  readonly text: string
  /** Whether white space stands before it. */
  readonly gap: boolean
}

/** Upper bounds on the characters and tokens of an answer that is read as mathematics. */
const MAX_MATHS = 1_024
const MAX_TOKENS = 512

/** Marks of thousands and of decimals that are certain, in place of the characters of the text. */
const GROUP = '\uE000'
const POINT = '\uE001'
const CERTAIN_GROUP =
  /(?<=\d)(?:\{,\}|,\\!|\\[,;: ]|~|[\u00A0\u2007-\u2009\u202F'\u2019 ])(?=\d{3}(?![\d/]))/g
const CERTAIN_POINT = /(?<=\d)\{,\}(?=\d)/g
const DEGREES = /\^ ?\{? ?(?:\\circ|°) ?\}?|\\degree(?![A-Za-z])|° ?[CF](?![A-Za-z])|°/g
const SUPERSCRIPTS = /[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}/g

const RUN = /[\d.,\uE000\uE001]+/y
const EXPONENT = /[eE][-+]?\d{1,6}(?!\w)/y
const SPACE = /(?:\s|~|\\[,;: ]|\\(?:quad|qquad)(?![A-Za-z]))+/y
const COMMAND = /\\[A-Za-z]+/y
const BARE_ARGUMENT = / ?[0-9A-Za-z]/y
const TEXT_SEPARATOR = /\{[\s,~]*(?:and|or)[\s~]*\}/y
const MATRIX = /\{[pb]?matrix\}/y
const LETTERS = /[A-Za-z]+/y
/** What only a number has behind it, never a list: a percent sign, a currency, a unit. */
const UNIT_NEXT =
  /\s?(?:\\?%|(?!\$)\p{Sc}|\\(?:text|textrm|mathrm)(?![A-Za-z])(?! ?\{ ?(?:and|or)\b))|\s(?!and\b|or\b)[A-Za-z]/uy
const CURRENCY_BEFORE = /(?:(?!\$)\p{Sc}|\\\$)\s?$/u

const LAYOUT = new Set(
  'left right bigl bigr Bigl Bigr big Big bigg Bigg displaystyle textstyle limits strut boxed fbox mathbf boldsymbol mathit bm'.split(
    ' ',
  ),
)
const TEXT = new Set('text textbf textit textrm textsf texttt mathrm mathsf mbox operatorname'.split(' '))
const GREEK =
  'alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi varphi chi psi ' +
  'omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell'
export const FUNCTIONS: ReadonlySet<string> = new Set(
  'sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp'.split(' '),
)
const NAMES = new Set([...GREEK.split(' '), ...FUNCTIONS, 'pi', 'sqrt', 'infinity'])
const SYNONYMS: Readonly<Record<string, string>> = {
  infty: 'infinity',
  inf: 'infinity',
  oo: 'infinity',
  Infinity: 'infinity',
  times: '*',
  cdot: '*',
  div: '/',
  dfrac: 'frac',
  tfrac: 'frac',
  cfrac: 'frac',
  pm: '±',
  mp: '∓',
  le: '<=',
  leq: '<=',
  leqslant: '<=',
  ge: '>=',
  geq: '>=',
  geqslant: '>=',
  lt: '<',
  gt: '>',
  in: '∈',
  cup: '∪',
  emptyset: '∅',
  varnothing: '∅',
  lbrace: '{',
  rbrace: '}',
  langle: '(',
  rangle: ')',
  lor: 'or',
  vee: 'or',
}
const UNICODE: Readonly<Record<string, string>> = {
  π: 'pi',
  θ: 'theta',
  α: 'alpha',
  β: 'beta',
  λ: 'lambda',
  μ: 'mu',
  φ: 'phi',
  ω: 'omega',
  '∞': 'infinity',
  '√': 'sqrt',
  '×': '*',
  '·': '*',
  '⋅': '*',
  '÷': '/',
  '≤': '<=',
  '≥': '>=',
}
/** Units that may stand directly behind a number. */
const UNITS = new Set(
  'mm cm km kg mg ml mL mph kmh kWh GB MB KB Hz kHz ft lb lbs oz hr hrs min sec ms usd'.split(' '),
)
const ORDINALS = new Set(['st', 'nd', 'rd', 'th'])
const SEPARATORS = new Set(['and', 'or'])
const MARKS = new Set('+ - * / ^ _ ( ) [ ] { } = < > ! % ± ∓ ∪ ∈ ∅ &'.split(' '))

/** Cuts an answer into tokens. @throws NotMaths for characters and commands that mathematics does not have, and beyond the bounds */
export function tokensOf(answer: string): readonly Token[] {
  if (answer.length > MAX_MATHS) throw new NotMaths('a text that is too long')
  if (/[\uE000\uE001]/.test(answer)) throw new NotMaths('a private character')
  const text = withAsciiDigits(plainText(answer))
    .replace(MINUS_SIGNS, '-')
    .replace(VULGAR_FRACTIONS, (fraction) => ` ${fraction.normalize('NFKC')}`)
    .replaceAll('\u2044', '/')
    .replace(SUPERSCRIPTS, (run) => `^{${run.normalize('NFKC').replace('\u2212', '-')}}`)
    .replace(DEGREES, '')
    .replace(CERTAIN_GROUP, GROUP)
    .replace(CERTAIN_POINT, POINT)
  return new Tokeniser(text).read()
}

class Tokeniser {
  private readonly text: string
  private readonly tokens: Token[] = []
  /** Whether commas separate nothing, because semicolons do. */
  private readonly hasSemicolons: boolean
  private at = 0
  private gap = false
  /** Round, square and escaped brackets that are open. */
  private brackets = 0
  /** Depth of braces inside the argument of `\text`; 0 outside. */
  private textDepth = 0

  constructor(text: string) {
    this.text = text
    this.hasSemicolons = /(?<!\\);/.test(text)
  }

  read(): readonly Token[] {
    while (this.at < this.text.length) this.next()
    return this.tokens
  }

  private push(kind: Token['kind'], text: string): void {
    this.tokens.push({ kind, text, gap: this.gap })
    this.gap = false
    if (this.tokens.length > MAX_TOKENS) throw new NotMaths('a text that is too long')
  }

  private next(): void {
    if (this.match(SPACE) !== null) {
      this.gap = true
      return
    }
    const character = String.fromCodePoint(this.text.codePointAt(this.at) ?? 0)
    const isNumber = /\d/.test(character) || (character === '.' && /\d/.test(this.text.charAt(this.at + 1)))
    if (isNumber) this.number()
    else if (/[A-Za-z]/.test(character)) this.letters(this.match(LETTERS) ?? '')
    else if (character === '\\') this.backslash()
    else {
      this.at += character.length
      this.character(character)
    }
  }

  private character(character: string): void {
    const pair = this.text.slice(this.at - 1, this.at + 1)
    if (['<=', '>=', '**'].includes(pair)) {
      this.at += 1
      this.push('mark', pair === '**' ? '^' : pair)
    } else if (character === ',' || character === ';') this.push('mark', ',')
    else if (/\p{Sc}/u.test(character)) this.gap = true
    else if (UNICODE[character] !== undefined) this.named(UNICODE[character])
    else if (MARKS.has(character)) this.mark(character)
    else throw new NotMaths(`the character ${character}`)
  }

  private mark(character: string): void {
    if (this.textDepth > 0 && character === '{') this.textDepth += 1
    if (this.textDepth > 0 && character === '}') this.textDepth -= 1
    if (character === '(' || character === '[') this.brackets += 1
    if (character === ')' || character === ']') this.brackets -= 1
    this.push('mark', character)
  }

  private backslash(): void {
    const command = this.match(COMMAND)?.slice(1)
    if (command === undefined) this.escaped(this.text.charAt(this.at + 1))
    else if (command === 'begin' || command === 'end') this.environment(command)
    else if (LAYOUT.has(command)) {
      // \right. and \left. close and open nothing that is seen.
      if ((command === 'left' || command === 'right') && this.text[this.at] === '.') this.at += 1
    } else if (TEXT.has(command)) this.beginText()
    else {
      const name = SYNONYMS[command] ?? command
      this.named(name)
      this.bareArguments(name === 'frac' ? 2 : name === 'sqrt' ? 1 : 0)
    }
  }

  /** Reads an escaped character: `\{` and `\}`, and what only lays out. */
  private escaped(character: string): void {
    this.at += 2
    if (character === '\\') this.push('mark', 'row')
    else if (character === '{') {
      this.brackets += 1
      this.push('mark', '{')
    } else if (character === '}') {
      this.brackets -= 1
      this.push('mark', '}')
    } else if (character === '%') this.push('mark', '%')
    else if (!'!$()[]'.includes(character)) throw new NotMaths(`the command \\${character}`)
  }

  /** Reads the beginning or the end of a matrix; its kind of brackets does not matter. */
  private environment(command: string): void {
    if (this.match(MATRIX) === null) throw new NotMaths('an environment')
    this.brackets += command === 'begin' ? 1 : -1
    this.push('mark', `${command} matrix`)
  }

  private beginText(): void {
    while (this.text[this.at] === ' ') this.at += 1
    const separator = this.match(TEXT_SEPARATOR)
    if (separator !== null) {
      this.push('mark', separator.includes('or') ? 'or' : 'and')
      return
    }
    if (this.text[this.at] !== '{') throw new NotMaths('a command without its argument')
    this.at += 1
    this.gap = true
    this.textDepth += 1
    this.push('mark', '{')
  }

  /** Reads arguments without braces, which are one letter or digit each: \frac12, \sqrt2. */
  private bareArguments(count: number): void {
    for (let read = 0; read < count; read++) {
      const argument = this.match(BARE_ARGUMENT)?.trim()
      if (argument === undefined) return
      this.push(/\d/.test(argument) ? 'number' : 'name', argument)
    }
  }

  private named(name: string): void {
    if (NAMES.has(name)) this.push('name', name)
    else if (SEPARATORS.has(name) || name === 'frac' || MARKS.has(name) || ['<=', '>='].includes(name)) {
      this.push('mark', name)
    } else throw new NotMaths(`the command \\${name}`)
  }

  private letters(run: string): void {
    const name = SYNONYMS[run] === 'infinity' ? 'infinity' : run
    if (SEPARATORS.has(run)) this.push('mark', run)
    else if (run === 'percent') this.push('mark', '%')
    else if (run === 'x' && this.isTimesTen()) this.push('mark', '*')
    else if (NAMES.has(name)) this.push('name', name)
    else if (this.isWord(run)) this.push('word', run)
    else for (const letter of run) this.push('name', letter)
  }

  /** Whether the x before this place is that of 6.02 x 10^23. */
  private isTimesTen(): boolean {
    return (
      this.tokens.at(-1)?.kind === 'number' &&
      /^ ?10 ?(?:\^|\*\*)/.test(this.text.slice(this.at, this.at + 6))
    )
  }

  /** Whether letters are a word or a unit, and not variables that are multiplied. */
  private isWord(run: string): boolean {
    const last = this.tokens.at(-1)
    if (this.textDepth > 0) return run.length > 1 || last?.kind !== 'mark' || this.isBehindValue()
    if (run.length === 1) return last?.kind === 'word' && this.gap
    if (ORDINALS.has(run) && last?.kind === 'number' && !this.gap) throw new NotMaths('an ordinal number')
    if (run.length > 3) return true
    const isBehindNumber = last?.kind === 'number' || last?.text === '}'
    if (isBehindNumber) return this.gap || UNITS.has(run)
    const isOperand = last?.kind === 'mark' && !SEPARATORS.has(last.text) && last.text !== ','
    return !isOperand && !/^ ?[=^+*/<>_-]/.test(this.text.slice(this.at, this.at + 2))
  }

  /** Whether the text command that is open stands behind a value: `5\text{m}`. */
  private isBehindValue(): boolean {
    const before = this.tokens.at(-2)
    return before?.kind === 'number' || before?.text === '}' || before?.text === ')'
  }

  /** Reads digits with points and commas: one number, or the numbers of a list. */
  private number(): void {
    const start = this.at
    const run = (this.match(RUN) ?? '').replace(/[.,]$/, '')
    this.at = start + run.length
    const numerals = this.numeralsOf(run, start)
    const exponent = this.match(EXPONENT) ?? ''
    numerals.forEach((numeral, index) => {
      const value = canonicalDecimal(`${numeral}${index === numerals.length - 1 ? exponent : ''}`)
      if (value === null) throw new NotMaths(`the digits ${run}`)
      if (index > 0) this.push('mark', ',')
      this.push('number', value)
    })
  }

  /**
   * Decides what the points and commas of a run of digits are.
   * - With both, the last mark is the decimal one if the others group thousands: 1,234.5 and 1.234,5.
   * - Several points group thousands: 1.234.567. One point is the decimal point: 1.234.
   * - Commas that group thousands do: 1,234. One comma is a decimal comma where no list can be: before a unit,
   *   a percent sign or a currency, between semicolons, and as `{,}`. Any other comma separates.
   * - In brackets every comma separates, unless semicolons do.
   */
  private numeralsOf(run: string, start: number): readonly string[] {
    const plain = run.replaceAll(GROUP, '').replaceAll(POINT, '.')
    if (!groupsCertainly(run)) throw new NotMaths(`the digits ${run}`)
    if (!plain.includes(',')) return [withoutGroups(plain, '.')]
    if (this.brackets > 0 && !this.hasSemicolons)
      return plain.split(',').map((item) => withoutGroups(item, '.'))
    const [whole = '', ...rest] = plain.split('.')
    if (!whole.startsWith('0') && rest.length <= 1 && groupsThousands(whole) && !rest[0]?.includes(','))
      return [plain]
    const [left = '', decimals = '', ...more] = plain.split(',')
    const isSingle = more.length === 0 && !decimals.includes('.')
    if (isSingle && /^\d{1,3}(?:\.\d{3})+$/.test(left)) return [`${left.replaceAll('.', '')}.${decimals}`]
    if (isSingle && !left.includes('.') && (this.hasSemicolons || this.hasUnit(run, start)))
      return [`${left}.${decimals}`]
    return plain.split(',').map((item) => withoutGroups(item, '.'))
  }

  private hasUnit(run: string, start: number): boolean {
    UNIT_NEXT.lastIndex = start + run.length
    return UNIT_NEXT.test(this.text) || CURRENCY_BEFORE.test(this.text.slice(Math.max(0, start - 3), start))
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0]
    if (found === undefined) return null
    this.at += found.length
    return found
  }
}

/** Removes the points that group thousands from 1.234.567; another text stays, and is no decimal if it has several. */
function withoutGroups(numeral: string, mark: string): string {
  return /^[1-9]\d{0,2}(?:\.\d{3}){2,}$/.test(numeral) ? numeral.replaceAll(mark, '') : numeral
}

/** Whether the marks of certain groups stand behind one to three digits and before three. */
function groupsCertainly(run: string): boolean {
  const groups = run.split(/[.,\uE001]/)
  return groups.every((group) => !group.includes(GROUP) || /^\d{1,3}(?:\uE000\d{3})+$/.test(group))
}
