/** @file Limits of API keys: requests and tokens in a window of time. */

import { ServiceError } from '#errors'

/** Amount in a window that begins with its first use. */
export interface Allowance {
  readonly amount: number
  readonly seconds: number
}

export interface KeyLimits {
  /** Requests that run the model; null: no limit. */
  readonly rate: Allowance | null
  /** Tokens read, generated and judged for those requests; null: no limit. */
  readonly tokens: Allowance | null
}

export const NO_LIMITS: KeyLimits = { rate: null, tokens: null }

/** Largest amount: counters are 32-bit integers. */
const MAX_AMOUNT = 2_000_000_000
const FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1_000, m: 1_000_000 }
const UNITS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, day: 86_400 }
const ALLOWANCE = /^(\d{1,10})([km]?)\/(s|min|h|day)$/i

/**
 * Reads a limit such as `60/min` or `1M/day`. Units are s, min, h and day.
 *
 * @param where begin of the error message
 * @throws ServiceError CONFIG_INVALID
 */
export function parseAllowance(where: string, text: unknown): Allowance {
  const [, digits, factor = '', unit = ''] = ALLOWANCE.exec(String(text)) ?? []
  const amount = Number(digits) * (FACTORS[factor.toLowerCase()] ?? 1)
  const seconds = UNITS[unit.toLowerCase()]
  if (seconds === undefined || !(amount >= 1 && amount <= MAX_AMOUNT))
    throw new ServiceError(
      'CONFIG_INVALID',
      `${where}: expected an amount from 1 to 2000M per s, min, h or day, such as 60/min or 1M/day, got ${JSON.stringify(text)}`,
    )
  return { amount, seconds }
}

/** Writes a limit as `parseAllowance` reads it. */
export function formatAllowance({ amount, seconds }: Allowance): string {
  const unit = Object.keys(UNITS).find((name) => UNITS[name] === seconds) ?? `${seconds}s`
  const [factor = ''] = ['m', 'k'].filter((name) => amount % (FACTORS[name] ?? 1) === 0)
  return `${amount / (FACTORS[factor] ?? 1)}${factor.toUpperCase()}/${unit}`
}
