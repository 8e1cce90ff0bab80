import { setTimeout } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { CircuitBreaker } from '../../../src/database/circuit-breaker.ts'

const FAST = { suspectAfterMs: 20, probeTimeoutMs: 20, probeIntervalMs: 20, diskFullMs: 100 }
const never = () => new Promise<never>(() => {})

type Probe = () => Promise<'up' | 'read-only'>

function breakerOn(first: Probe) {
  const lines: string[] = []
  const server = { probe: first, asked: 0 }
  const logger = {
    info: (message: string) => void lines.push(message),
    warn: (_details: object, message: string) => void lines.push(message),
  }
  const breaker = new CircuitBreaker({
    ...FAST,
    logger: logger as never,
    probe() {
      server.asked += 1
      return server.probe()
    },
  })
  return { breaker, server, lines, closed: () => breaker.close() }
}

test('one failure followed by an answer leaves it closed', async () => {
  const { breaker, server, lines } = breakerOn(async () => 'up')
  breaker.noteFailure(new Error('refused'))
  await vi.waitFor(() => expect(server.asked).toBe(1))
  await setTimeout(10)
  breaker.noteFailure(new Error('refused'))
  await setTimeout(60)
  expect([breaker.state, lines]).toEqual(['up', []])
})

test('two failures open it once; a probe each interval closes it', async () => {
  const { breaker, server, lines, closed } = breakerOn(async () => Promise.reject(new Error('refused')))
  breaker.noteFailure(new Error('refused'))
  await vi.waitFor(() => expect(breaker.state).toBe('down'))
  expect(breaker.reason?.message).toBe('refused')
  await setTimeout(100)
  expect(server.asked).toBeGreaterThan(2)
  expect(server.asked).toBeLessThan(10)
  server.probe = async () => 'up'
  await vi.waitFor(() => expect(breaker.state).toBe('up'))
  expect(lines).toEqual([
    'database unavailable: statements are refused until it answers',
    'database available again',
  ])
  expect(breaker.generation).toBe(2)
  closed()
})

test('a statement without an answer starts probes; without an answer to these it is abandoned', async () => {
  const { breaker, closed } = breakerOn(never)
  const abandon = vi.fn()
  const done = breaker.watch(abandon)
  await vi.waitFor(() => expect(breaker.state).toBe('down'))
  expect(abandon).toHaveBeenCalledTimes(1)
  done()
  closed()
})

test('a slow statement of a server that answers probes is left alone', async () => {
  const { breaker, server } = breakerOn(async () => 'up')
  const abandon = vi.fn()
  const done = breaker.watch(abandon)
  await vi.waitFor(() => expect(server.asked).toBeGreaterThan(2))
  done()
  const { asked } = server
  await setTimeout(60)
  expect([breaker.state, abandon.mock.calls, server.asked]).toEqual(['up', [], asked])
})

test('a server that refuses writes is read-only until a probe finds that it accepts them', async () => {
  const { breaker, server, lines } = breakerOn(async () => 'read-only')
  breaker.noteReadOnly(new Error('cannot execute INSERT in a read-only transaction'))
  breaker.noteReadOnly(new Error('cannot execute INSERT in a read-only transaction'))
  await setTimeout(60)
  expect(breaker.state).toBe('read-only')
  server.probe = async () => 'up'
  await vi.waitFor(() => expect(breaker.state).toBe('up'))
  expect(lines).toEqual([
    'database refuses writes: nothing is stored until it accepts them',
    'database available again',
  ])
})

test('a server whose disk is full is read-only until a while after the last refused write', async () => {
  const { breaker, server, lines } = breakerOn(async () => 'up')
  const full = new Error('could not extend file: No space left on device')
  breaker.noteDiskFull(full)
  await setTimeout(70)
  breaker.noteDiskFull(full)
  await setTimeout(70)
  expect(breaker.state).toBe('read-only')
  expect(breaker.reason).toBe(full)
  expect(server.asked).toBeGreaterThan(2)
  await vi.waitFor(() => expect(breaker.state).toBe('up'))
  expect(lines).toEqual([
    'database refuses writes: nothing is stored until it accepts them',
    'database available again',
  ])
})

test('a server that comes back with a full disk is read-only, and its statements are sent', async () => {
  const { breaker, server } = breakerOn(async () => Promise.reject(new Error('refused')))
  breaker.noteDiskFull(new Error('full'))
  await vi.waitFor(() => expect(breaker.state).toBe('down'))
  server.probe = async () => 'up'
  breaker.noteDiskFull(new Error('full'))
  await vi.waitFor(() => expect(breaker.state).toBe('read-only'))
  await vi.waitFor(() => expect(breaker.state).toBe('up'))
})

test('while it is held it does not probe', async () => {
  const { breaker, server } = breakerOn(async () => 'up')
  breaker.hold(new Error('not there yet'))
  breaker.suspect()
  await setTimeout(60)
  expect([breaker.state, server.asked]).toEqual(['down', 0])
  breaker.release()
  expect(breaker.state).toBe('up')
  await vi.waitFor(() => expect(server.asked).toBe(1))
})

test('does not probe after it is closed', async () => {
  const { breaker, server, closed } = breakerOn(never)
  breaker.noteFailure(new Error('refused'))
  closed()
  await setTimeout(80)
  expect([server.asked, breaker.state]).toEqual([1, 'up'])
})
