/** @file docs/errors.md lists every error code once, with the status and title in the code. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERROR_CODES } from '#errors'
import { DEFAULT_LIMITS } from '#http'
import { STATUS, TITLES } from '../../src/http/problem.ts'

const document = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8')

/** Cells of the table rows that begin with a code. */
const rows = document
  .split('\n')
  .filter((line) => /^\| `[A-Z_]+`/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  .map(([code = '', ...cells]) => ({ code: code.replaceAll('`', ''), cells }))

test('every code is documented exactly once', () => {
  expect(rows.map(({ code }) => code).sort()).toEqual([...ERROR_CODES].sort())
})

test('codes that callers receive are documented with their status and title', () => {
  const overHttp = rows.filter(({ cells }) => cells.length === 3)
  expect(Object.fromEntries(overHttp.map(({ code, cells }) => [code, cells.slice(0, 2)]))).toEqual(
    Object.fromEntries(
      Object.entries(TITLES).map(([code, title]) => [code, [String(STATUS[code as 'INTERNAL']), title]]),
    ),
  )
})

test('the other codes are answered as INTERNAL', () => {
  const inside = rows.filter(({ cells }) => cells.length === 2)
  expect(inside.length + Object.keys(TITLES).length).toBe(ERROR_CODES.length)
  for (const { code } of inside) expect(STATUS[code as keyof typeof STATUS]).toBe(500)
})

test('the documented limits match the code', () => {
  expect(document).toContain(`${DEFAULT_LIMITS.bodyBytes / 1024} KiB hold the longest question`)
  expect(document).toContain(`${DEFAULT_LIMITS.headerBytes / 1024} KiB hold the request line`)
  expect(document).toContain(
    `headers within ${DEFAULT_LIMITS.headersTimeoutMs / 1000} s and the whole request within ${DEFAULT_LIMITS.requestTimeoutMs / 1000} s`,
  )
})
