import { Writable } from 'node:stream'
import pino from 'pino'
import { expect, test } from 'vitest'
import { loggerOptions, withoutUserInfo } from '../../src/logger.ts'

/** Creates a logger and the array that receives its lines. */
function capture(level = 'info') {
  const lines: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  return { lines, logger: pino(loggerOptions({ level, pretty: false }), sink) }
}

test('writes JSON lines at its level and above', () => {
  const { lines, logger } = capture('warn')
  logger.info('quiet')
  logger.warn({ port: 8080 }, 'listening')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 40, port: 8080, msg: 'listening' }])
})

test('removes passwords from every position', () => {
  const { lines, logger } = capture()
  const url = 'postgres://circadian:hunter2@db:5432/circadian'
  const err = new Error(`connect to ${url}: refused`)
  logger.info({ config: { database: { connectionString: url, password: 'hunter2' } } }, `using ${url}`)
  logger.info({
    DATABASE_URL: url,
    env: { REDIS_URL: 'redis://:hunter2@cache' },
    req: { headers: { authorization: 'Bearer hunter2' } },
  })
  logger.error({ err, list: [url] })
  expect(lines.length).toBe(3)
  expect(lines.join('')).not.toContain('hunter2')
  expect(lines.join('')).toContain('postgres://***@db:5432/circadian')
  for (const line of lines) expect(() => JSON.parse(line)).not.toThrow()
})

test.each([
  ['postgres://u:p@ss@host/db', 'postgres://***@host/db'],
  ['redis://:p@host', 'redis://***@host'],
  ['HTTP://u:p@a and x+y.z-1://u@b', 'HTTP://***@a and x+y.z-1://***@b'],
  ['see http://127.0.0.1:8080/docs and a@b.c', 'see http://127.0.0.1:8080/docs and a@b.c'],
  ['{"a":"http://x","b":"me@example.org"}', '{"a":"http://x","b":"me@example.org"}'],
])('%s is written as %s', (line, written) => {
  expect(withoutUserInfo(line)).toBe(written)
})

test('formats lines for a terminal only if requested', () => {
  expect(loggerOptions({ level: 'info', pretty: false })).not.toHaveProperty('transport')
  expect(loggerOptions({ level: 'info', pretty: true }).transport).toMatchObject({ target: 'pino-pretty' })
})
