/** @file Numbers, times and sizes as the page writes them. */

/** Returns a number with a fixed count of decimals and a real minus sign. */
export const decimals = (value: number, digits = 2): string => value.toFixed(digits).replace('-', '\u2212')

/** Returns a count with narrow spaces that do not break between thousands. */
export const count = (value: number): string =>
  Math.round(value).toLocaleString('en').replaceAll(',', '\u202f')

/** Returns a share in [0, 1] as a percentage. */
export const percent = (share: number): string => `${Math.round(share * 100)}\u202f%`

/** Returns a duration in ms with three significant digits. */
export function duration(ms: number): string {
  if (ms < 1) return '<\u202f1\u202fms'
  if (ms < 1_000) return `${Math.round(ms)}\u202fms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)}\u202fs`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}\u202fmin ${Math.round((ms % 60_000) / 1_000)}\u202fs`
  return `${Math.floor(ms / 3_600_000)}\u202fh ${Math.round((ms % 3_600_000) / 60_000)}\u202fmin`
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(size: number): string {
  const power = size < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(size) / 10))
  const value = size / 1024 ** power
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)}\u202f${UNITS[power]}`
}

/** Returns a moment in the words of the reader's place. */
export const moment = (time: string): string =>
  new Date(time).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })
