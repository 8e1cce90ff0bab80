/** @file The address of the caller behind a reverse proxy, for fairness and for audit lines. */

import { pino } from 'pino'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { loggerOptions } from '../../../src/logger.ts'
import { QUESTION, SOLUTION, scriptedSolver, unverifiedApp } from '../../support/http-app.ts'

const CLIENT = '203.0.113.7'
const SPOOFED = '198.51.100.1'

let callers: unknown[] = []
const { solver } = scriptedSolver(async (_request, { caller }) => {
  callers.push(caller)
  return SOLUTION
})
const logger = pino(loggerOptions({ level: 'info', pretty: false }), {
  write(line: string) {
    const { audit, caller } = JSON.parse(line)
    if (audit) callers.push(caller)
  },
})
const apps = {
  'no proxy': unverifiedApp({ solver, logger }),
  proxies: unverifiedApp({ solver, logger, trustProxy: ['10.0.0.5', '10.1.0.0/16', 'fd00::/8'] }),
}
beforeEach(() => {
  callers = []
})
afterAll(() => Promise.all(Object.values(apps).map((app) => app.close())))

test.each<[keyof typeof apps, string, string, string]>([
  ['no proxy', '10.0.0.5', CLIENT, '10.0.0.5'],
  ['proxies', '10.0.0.5', CLIENT, CLIENT],
  ['proxies', '10.1.2.3', CLIENT, CLIENT],
  ['proxies', '::ffff:10.0.0.5', CLIENT, CLIENT],
  ['proxies', '10.0.0.5', `${CLIENT}:50123`, CLIENT],
  ['proxies', '10.0.0.5', `::ffff:${CLIENT}`, CLIENT],
  ['proxies', '10.0.0.5', 'unknown', '10.0.0.5'],
  ['proxies', '10.0.0.5', '', '10.0.0.5'],
  ['proxies', '10.0.0.5', `${SPOOFED}, ${CLIENT}`, CLIENT],
  ['proxies', '10.0.0.5', `${SPOOFED}, ${CLIENT}, 10.1.2.3`, CLIENT],
  ['proxies', CLIENT, SPOOFED, CLIENT],
  ['proxies', '10.0.0.6', SPOOFED, '10.0.0.6'],
])('%s, peer %s, X-Forwarded-For %s: the caller is %s', async (name, remoteAddress, forwarded, caller) => {
  const headers = { 'x-forwarded-for': forwarded }
  const solve = {
    method: 'POST',
    url: '/solve',
    headers,
    remoteAddress,
    payload: { question: QUESTION },
  } as const
  const remove = { method: 'DELETE', url: '/episodes', headers, remoteAddress } as const
  expect((await apps[name].inject(solve)).statusCode).toBe(200)
  expect((await apps[name].inject(remove)).statusCode).toBeLessThan(300)
  expect(callers).toEqual([caller, caller])
})

test.each([
  ['2001:db8::7', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
  ['2001:0db8:0001:0002::7', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2::7]:443', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:3::1.2.3.4', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
])('an IPv6 caller %s shares the engine as %s, and is whole in audit lines', async (forwarded, key) => {
  const headers = { 'x-forwarded-for': forwarded }
  const remoteAddress = 'fd00::5'
  const payload = { question: QUESTION }
  await apps.proxies.inject({ method: 'POST', url: '/solve', headers, remoteAddress, payload })
  await apps.proxies.inject({ method: 'DELETE', url: '/episodes', headers, remoteAddress })
  expect(callers).toEqual([key, forwarded.replace(/^\[(.*)\]:443$/, '$1')])
})

test('a trusted proxy cannot change the host that is checked', async () => {
  const response = await apps.proxies.inject({
    url: '/episodes',
    remoteAddress: '10.0.0.5',
    headers: { host: 'evil.example', 'x-forwarded-host': 'localhost' },
  })
  expect(response.statusCode).toBe(421)
})
