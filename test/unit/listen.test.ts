import { expect, test } from 'vitest'
import { checkListenHost } from '../../src/listen.ts'

function check(host: string, allowAnonymous: boolean, hasKeys = false) {
  const warnings: string[] = []
  checkListenHost({ host, allowAnonymous }, hasKeys, { warn: (_details, message) => warnings.push(message) })
  return warnings
}

test.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('listens on %s without a word', (host) => {
  expect(check(host, false)).toEqual([])
  expect(check(host, true)).toEqual([])
})

test.each(['0.0.0.0', '::', '192.168.1.7', 'fd00::1', 'api.example', ''])(
  'listens on %s only with a key, or with ALLOW_ANONYMOUS=true, and then warns',
  (host) => {
    expect(() => check(host, false)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/circadian keys create.*ALLOW_ANONYMOUS=true/),
      }),
    )
    expect(check(host, true)).toEqual([expect.stringContaining('needs no key')])
    expect(check(host, false, true)).toEqual([])
  },
)
