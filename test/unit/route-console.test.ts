import { pino } from 'pino'
import { expect, test } from 'vitest'
import { routeConsole } from '../../src/route-console.ts'

test('logs what libraries print, each text once', () => {
  const lines: Record<string, unknown>[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const target = { warn: () => {}, error: () => {} } as Pick<Console, 'warn' | 'error'>
  routeConsole(logger, target)
  for (let connection = 0; connection < 6; connection++)
    target.warn('IMPORTANT! Eviction policy is %s. It should be "noeviction"', 'allkeys-lru')
  target.error('failed', { code: 1 })
  expect(lines).toMatchObject([
    { level: 40, msg: 'IMPORTANT! Eviction policy is allkeys-lru. It should be "noeviction"' },
    { level: 40, msg: 'failed { code: 1 }' },
  ])
})
