import { expect, test } from 'vitest'
import { formatAllowance } from '#keys'
import { parseAllowance } from '../../../src/keys/limits.ts'

test.each([
  ['60/min', 60, 60, '60/min'],
  ['1M/day', 1_000_000, 86_400, '1M/day'],
  ['1500k/h', 1_500_000, 3_600, '1500K/h'],
  ['5000/S', 5_000, 1, '5K/s'],
  ['2000M/day', 2_000_000_000, 86_400, '2000M/day'],
])('reads %s', (text, amount, seconds, written) => {
  expect(parseAllowance('x', text)).toEqual({ amount, seconds })
  expect(formatAllowance({ amount, seconds })).toBe(written)
  expect(parseAllowance('x', written)).toEqual({ amount, seconds })
})

test.each([
  '',
  '60',
  '60/',
  '0/min',
  '-1/min',
  '1.5/min',
  '60/week',
  '60 / min',
  '2001M/day',
  '9999999999/s',
  60,
  null,
  {},
])('refuses %j, naming the forms', (text) => {
  expect(() => parseAllowance('keys create: rate', text)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('such as 60/min') }),
  )
})
