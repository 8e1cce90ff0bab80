import { expect, test } from 'vitest'
import { createThrottle, throttleLog } from '#throttle-log'

function logAt() {
  let now = 0
  const lines: [object, string][] = []
  const logger = { warn: (details: object, message: string) => void lines.push([details, message]) }
  const log = throttleLog(logger as never, { clock: () => now })
  return {
    lines,
    warn: (kind: string, at: number, details = {}) => {
      now = at
      return log.warn(kind, details, `${kind} happened`)
    },
  }
}

test('logs the first warning of a kind, then one a minute with the number left out', () => {
  const { lines, warn } = logAt()
  for (let second = 0; second <= 150; second++) warn('outage', 1_000 * second, { second })
  expect(lines).toEqual([
    [{ second: 0 }, 'outage happened'],
    [{ second: 60, repeated: 59 }, 'outage happened'],
    [{ second: 120, repeated: 59 }, 'outage happened'],
  ])
})

test('keeps kinds apart, and returns whether it logged', () => {
  const { lines, warn } = logAt()
  expect([warn('a', 0), warn('b', 1), warn('a', 2), warn('b', 61_000)]).toEqual([true, true, false, true])
  expect(lines).toHaveLength(3)
})

test('forgets the oldest of many kinds', () => {
  const { lines, warn } = logAt()
  for (let kind = 0; kind < 500; kind++) warn(`${kind}`, kind)
  expect([warn('0', 501), warn('499', 502)]).toEqual([true, false])
  expect(lines).toHaveLength(501)
})

test('gives a caller with fields of its own the number left out, from the second line on', () => {
  let now = 0
  const throttle = createThrottle(() => now)
  const at = (ms: number) => {
    now = ms
    return throttle('kind')
  }
  expect([at(0), at(1), at(59_999), at(60_000), at(120_000)]).toEqual([
    {},
    null,
    null,
    { repeated: 2 },
    { repeated: 0 },
  ])
})
