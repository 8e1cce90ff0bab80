/** @file The step `latex` of a profile: one writing for LaTeX that means the same, as graders of MATH do. */

/** Commands that change how a formula looks and not what it is. */
const LAYOUT =
  /\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|displaystyle|textstyle|limits|quad|qquad|strut)(?![A-Za-z])|\\[!]/g
const SPACES = /\\[,;: ]|~/g
/** A unit behind a number. */
const UNIT = /(?<=[\d})]) ?\\(?:text|textrm|mathrm|mbox|rm) ?\{[^{}]{0,64}\}(?: ?\^ ?\{? ?-?\d ?\}?)?$/
const TEXT =
  /\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mbox|operatorname) ?\{([^{}]{0,1024})\}/g
const DEGREES = /\^ ?\{? ?(?:\\circ|°) ?\}?|\\degree(?![A-Za-z])|°/g
const BARE_FRACTION = /\\frac ?(?:\{([^{}]{1,64})\}|([0-9A-Za-z])) ?(?:\{([^{}]{1,64})\}|([0-9A-Za-z]))/g
const BARE_ROOT = /\\sqrt ?([0-9A-Za-z])(?![A-Za-z{])/g
const WHOLE_FRACTION = /^([-+]?)\\frac\{([-+]?\d{1,64})\}\{(\d{1,64})\}$/
/** `x = 5` is the answer 5. */
const VARIABLE = /^(?:[A-Za-z]|\\[A-Za-z]{1,16})(?:_\{?\w{1,8}\}?)? ?= ?(?=\S)/
/** A space that separates no two words. */
const SPACE_OUTSIDE_WORDS = /(?<![\p{L},;:]) | (?![\p{L}])/gu
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
  const unwrapped = withoutBraces(written.replace(UNIT, '').replace(TEXT, '$1').trim())
  return unwrapped
    .replace(VARIABLE, '')
    .replace(BARE_FRACTION, (_, top, topToken, bottom, bottomToken) => {
      return `\\frac{${(top ?? topToken).trim()}}{${(bottom ?? bottomToken).trim()}}`
    })
    .replace(BARE_ROOT, '\\sqrt{$1}')
    .replace(WHOLE_FRACTION, '$1$2/$3')
    .replace(SPACE_OUTSIDE_WORDS, '')
    .replace(/\.$/, '')
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

/** Returns the place of the brace that closes the one before `from`; -1 without one. */
function closingBrace(text: string, from: number): number {
  let depth = 1
  for (let index = from; index < text.length; index++) {
    if (text[index] === '\\') index += 1
    else if (text[index] === '{') depth += 1
    else if (text[index] === '}') depth -= 1
    if (depth === 0) return index
  }
  return -1
}
