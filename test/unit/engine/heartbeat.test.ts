import { afterEach, beforeEach, expect, suite, test, vi } from 'vitest'
import { startHeartbeat } from '../../../src/engine/heartbeat.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function setUp(limitMs = 5000) {
  const seen = { pings: 0, silences: [] as { silentMs: number; limitMs: number }[] }
  const heartbeat = startHeartbeat({
    limitMs,
    ping: () => {
      seen.pings += 1
    },
    onSilence: (silence) => void seen.silences.push(silence),
  })
  return { heartbeat, seen }
}

suite('a heartbeat', () => {
  test('pings each second, and tells the age of the last message', () => {
    const { heartbeat, seen } = setUp()
    for (let second = 1; second <= 60; second++) {
      vi.advanceTimersByTime(1000)
      expect(seen.pings).toBe(second)
      expect(heartbeat.ageMs()).toBe(1000)
      heartbeat.heard()
    }
    vi.advanceTimersByTime(400)
    expect(heartbeat.ageMs()).toBe(400)
    expect(seen.silences).toEqual([])
    heartbeat.stop()
    vi.advanceTimersByTime(60_000)
    expect(seen.pings).toBe(60)
  })

  test('reports a silence beyond the limit once, and stops', () => {
    const { seen } = setUp()
    vi.advanceTimersByTime(5500)
    expect(seen.silences).toEqual([])
    vi.advanceTimersByTime(60_000)
    expect(seen).toEqual({ pings: 5, silences: [{ silentMs: 6000, limitMs: 5000 }] })
  })

  test('allows an announced run three times its expected duration, until the next message', () => {
    const { heartbeat, seen } = setUp()
    heartbeat.expectRun(20_000)
    vi.advanceTimersByTime(60_000)
    expect(seen.silences).toEqual([])
    heartbeat.heard()
    vi.advanceTimersByTime(6000)
    expect(seen.silences).toEqual([{ silentMs: 6000, limitMs: 5000 }])
  })

  test('does not count the time in which its own process was blocked', () => {
    const { heartbeat, seen } = setUp()
    // The timers of a process that was stopped for a minute fire before it reads the answers that wait.
    vi.advanceTimersByTime(1000)
    heartbeat.heard()
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000)
    vi.advanceTimersToNextTimer()
    expect(seen.silences).toEqual([])
    expect(heartbeat.ageMs()).toBeLessThan(5000)
    heartbeat.stop()
    vi.restoreAllMocks()
  })
})
