import { expect, suite, test } from 'vitest'
import { ServiceError } from '#errors'
import { type SecurePortOptions, securePort } from '../../src/secure-port.ts'

const GONE = new ServiceError('STORE_UNAVAILABLE', 'keys: expected a database, got none')

/** Runs with a store whose calls fail by turns; null: the call succeeds. */
function securing(failures: readonly (Error | null)[], over: Partial<SecurePortOptions> = {}) {
  const calls: string[] = []
  const lines: string[] = []
  const pauses: number[] = []
  const left = [...failures]
  const call = (name: string) => {
    calls.push(name)
    const failure = left.shift() ?? null
    if (failure !== null) throw failure
  }
  const secured = securePort({
    keys: {
      syncFile: async () => call('sync'),
      async find() {
        call('find')
        return { found: null, anyKeys: true }
      },
    },
    fileKeys: [],
    listenOn: { host: '0.0.0.0', allowAnonymous: false },
    logger: { warn: (_, message) => void lines.push(message) },
    isClosing: () => false,
    pause: async (ms) => pauses.push(ms),
    ...over,
  })
  return { secured, calls, lines, pauses }
}

suite('the keys at the start', () => {
  test('are read again while the database does not answer, at growing intervals', async () => {
    const { secured, calls, lines, pauses } = securing([GONE, null, GONE, GONE, GONE, GONE, GONE])
    await secured
    expect(calls).toEqual(['sync', 'sync', 'find', 'sync', 'sync', 'sync', 'sync', 'sync', 'find'])
    expect(pauses).toEqual([500, 1000, 2000, 4000, 5000, 5000])
    expect(lines).toEqual(['API keys not read: trying again'])
  })

  test('are not read for ever when the process ends', async () => {
    let pauses = 0
    const { secured, calls } = securing(Array(9).fill(GONE), { isClosing: () => pauses++ === 2 })
    await secured
    expect(calls).toEqual(['sync', 'sync'])
  })

  test('end with any other error', async () => {
    const broken = new Error('syntax error')
    await expect(securing([broken]).secured).rejects.toBe(broken)
  })

  test('are required on an open port', async () => {
    const keys = { syncFile: async () => {}, find: async () => ({ found: null, anyKeys: false }) }
    await expect(securing([], { keys }).secured).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    const listenOn = { host: '127.0.0.1', allowAnonymous: false }
    await securing([], { keys, fileKeys: null, listenOn }).secured
  })
})
