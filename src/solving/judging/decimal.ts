/** @file Exact decimals: one writing for each value, whatever its length. */

const DECIMAL = /^([-+]?)([\d,]*)(?:\.(\d*))?(?:[eE]([-+]?\d{1,6}))?$/

/** Places before the decimal point from which the shorter of both writings is chosen, as JavaScript does. */
const MAX_PLAIN_PLACES = 21
/** Zeros after the decimal point from which a power of ten is written, as JavaScript does. */
const MAX_LEADING_ZEROS = 6

/**
 * Returns the canonical writing of a decimal such as `1,234.50`, `.5`, `007` or `6.02e23`; null when the text
 * is no decimal, or its commas do not group thousands. No digit is rounded.
 */
export function canonicalDecimal(text: string): string | null {
  const match = DECIMAL.exec(text)
  if (match === null) return null
  const [, sign, whole = '', decimals = '', exponent = '0'] = match
  if (whole + decimals === '' || !groupsThousands(whole)) return null
  const written = whole.replaceAll(',', '') + decimals
  const zeros = leadingZeros(written)
  const digits = trimZeros(written.slice(zeros))
  if (digits === '') return '0'
  const point = written.length - decimals.length - zeros + Number(exponent)
  return (sign === '-' ? '-' : '') + write(digits, point)
}

/** Whether commas stand where thousands (1,234,567) or lakhs (12,34,567) are grouped; true without commas. */
export function groupsThousands(whole: string): boolean {
  const groups = whole.split(',')
  const last = groups.pop() ?? ''
  const [first] = groups
  if (first === undefined) return true
  const middle = groups.slice(1)
  return (
    last.length === 3 &&
    first.length >= 1 &&
    first.length <= 3 &&
    middle.every(({ length }) => length === 2 || length === 3)
  )
}

/** Writes the value 0.DIGITS times 10^point. */
function write(digits: string, point: number): string {
  if (point > MAX_PLAIN_PLACES) {
    const scientific = writeScientific(digits, point)
    const plainLength = Math.max(point, digits.length + 1)
    return plainLength <= scientific.length ? writePlain(digits, point) : scientific
  }
  return point > -MAX_LEADING_ZEROS ? writePlain(digits, point) : writeScientific(digits, point)
}

function writePlain(digits: string, point: number): string {
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return digits.padEnd(point, '0')
  return `${digits.slice(0, point)}.${digits.slice(point)}`
}

function writeScientific(digits: string, point: number): string {
  const rest = digits.slice(1)
  return `${digits.charAt(0)}${rest && `.${rest}`}e${point - 1}`
}

function leadingZeros(digits: string): number {
  let count = 0
  while (digits[count] === '0') count += 1
  return count
}

function trimZeros(digits: string): string {
  let end = digits.length
  while (digits[end - 1] === '0') end -= 1
  return digits.slice(0, end)
}
