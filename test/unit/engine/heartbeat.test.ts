import { afterEach, beforeEach, expect, suite, test, vi } from 'vitest'
import { startHeartbeat } from '../../../src/engine/heartbeat.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function setUp(limitMs = 5000, waitedMs = () => 0) {
  const seen = { pings: 0, silences: [] as { silentMs: number; limitMs: number }[] }
  const heartbeat = startHeartbeat({
    limitMs,
    waitedMs,
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

  test('does not count the time for which the process waited for a CPU', () => {
    // Of each second, the process runs for 50 ms, as on a machine with twenty times too much work.
    const { heartbeat, seen } = setUp(5000, () => 950)
    vi.advanceTimersByTime(60_000)
    expect(seen.silences).toEqual([])
    expect(heartbeat.ageMs()).toBeCloseTo(3000, 3)
    vi.advanceTimersByTime(60_000)
    expect(seen.silences).toMatchObject([{ limitMs: 5000 }])
  })

  test('counts a wait of the time before the last message for nothing', () => {
    const { heartbeat, seen } = setUp(5000, () => 1e9)
    vi.advanceTimersByTime(1000)
    expect(heartbeat.ageMs()).toBe(0)
    vi.advanceTimersByTime(500)
    expect(heartbeat.ageMs()).toBe(500)
    vi.advanceTimersByTime(600_000)
    expect(seen.silences).toEqual([])
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
