/** @file The step `latex` of `answer.normalise`: writes LaTeX of the same meaning in one form, as graders of MATH do. */

import { closingBrace, readArgument, replaceCommand } from '../judging/latex-arguments.ts'

/** Commands that change how a formula looks and not what it is. */
const LAYOUT =
  /\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|displaystyle|textstyle|limits|quad|qquad|strut)(?![A-Za-z])|\\[!]/g
const SPACES = /\\[,;: ]|~/g
const UNIT = /\\(?:text|textrm|mathrm|mbox|rm) ?(?=\{)/g
/** The power of a unit. */
const UNIT_POWER = /^(?: ?\^ ?\{? ?-?\d ?\}?)?$/
const TEXT = {
  command:
    /\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mbox|operatorname)(?= ?\{)/g,
  count: 1,
}
const DEGREES = /\^ ?\{? ?(?:\\circ|°) ?\}?|\\degree(?![A-Za-z])|°/g
const FRACTION = { command: /\\frac(?![A-Za-z])/g, count: 2 }
const BARE_ROOT = /\\sqrt ?([0-9A-Za-z])(?![A-Za-z{])/g
const WHOLE_FRACTION = /^([-+]?)\\frac\{([-+]?\d{1,64})\}\{(\d{1,64})\}$/
/** `x = 5` is the answer 5. */
const VARIABLE = /^(?:[A-Za-z]|\\[A-Za-z]{1,16})(?:_\{?\w{1,8}\}?)? ?= ?(?=\S)/
/** A space that separates no two words, and not the parts of 1 1/2. */
const SPACE_OUTSIDE_WORDS = /(?!(?<=\d) \d{1,16}\/\d)(?:(?<![\p{L},;:]) | (?![\p{L}]))/gu
const ENCLOSED = /^(?:\\(?:boxed|fbox) ?)?\{/
const MAX_LAYERS = 8

/**
 * Removes what only lays out a formula (`\left`, `\!`, `\text{}`, `$`, degrees, units, braces around all), and
 * writes fractions, roots and percent signs in one way: `\dfrac12`, `\frac{1}{2}` and `$\tfrac{1}{2}$` are
 * `1/2`; `50\%` is `50%`.
 */
export function normaliseLatex(text: string): string {
  const written = text
    .replace(/\\[([]|\\[)\]]/g, '')
    .replaceAll('\\$', '')
    .replaceAll('$', '')
    .replaceAll('\\%', '%')
    .replace(/\\[dtc]frac(?![A-Za-z])/g, '\\frac')
    .replace(LAYOUT, '')
    .replaceAll('{,}', ',')
    .replace(DEGREES, '')
    .replace(SPACES, ' ')
    .replace(/\s{1,64}/g, ' ')
    .trim()
  const words = replaceCommand(withoutUnit(written), TEXT, ([content = '']) => content).trim()
  const value = withoutBraces(words).replace(VARIABLE, '')
  return replaceCommand(value, FRACTION, ([top, bottom]) => `\\frac{${top}}{${bottom}}`)
    .replace(BARE_ROOT, '\\sqrt{$1}')
    .replace(WHOLE_FRACTION, '$1$2/$3')
    .replace(SPACE_OUTSIDE_WORDS, '')
    .replace(/\.$/, '')
}

/** Removes the unit behind a number at the end. */
function withoutUnit(text: string): string {
  const unit = [...text.matchAll(UNIT)].at(-1)
  const argument = unit && readArgument(text, unit.index + unit[0].length)
  if (!unit || !argument || !UNIT_POWER.test(text.slice(argument.end))) return text
  const before = text.slice(0, unit.index).trimEnd()
  return /[\d})]$/.test(before) ? before : text
}

/** Removes the braces and boxes that hold the whole text. */
function withoutBraces(text: string): string {
  let inner = text
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    const open = ENCLOSED.exec(inner)
    if (open === null || closingBrace(inner, open[0].length) !== inner.length - 1) break
    inner = inner.slice(open[0].length, -1).trim()
  }
  return inner
}
