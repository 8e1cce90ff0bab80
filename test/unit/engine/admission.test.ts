import { expect, suite, test } from 'vitest'
import { hasCode } from '#errors'
import { type Admission, createAdmission } from '../../../src/engine/admission.ts'

function setUp(maxWaitingRows: number) {
  const world = { now: 1000, runningRows: 0 }
  const admission = createAdmission({
    maxWaitingRows,
    runningRows: () => world.runningRows,
    now: () => world.now,
  })
  return { world, admission }
}

function retryAfter(admission: Admission, caller = 'a', by: 'admit' | 'check' = 'admit'): number {
  try {
    if (by === 'check') admission.check(caller)
    else admission.admit('interactive', caller).close()
  } catch (error) {
    expect(hasCode(error, 'ENGINE_OVERLOADED')).toBe(true)
    return (error as { retryAfterSeconds: number }).retryAfterSeconds
  }
  throw new Error('expected to be refused')
}

suite('admission', () => {
  test('counts a session as one row until its first call, then its rows minus the running ones', () => {
    const { world, admission } = setUp(4)
    const sessions = [1, 2, 3, 4].map(() => admission.admit('interactive', 'a'))
    expect(() => admission.admit('interactive', 'a')).toThrow(
      'engine: expected fewer than 4 rows waiting, got 4',
    )
    const answered = sessions[0]!.submit(6)
    expect(() => admission.admit('interactive', 'a')).toThrow('got 9')
    world.runningRows = 6
    admission.admit('interactive', 'a').close()
    answered()
    world.runningRows = 0
    expect(admission.openSessions()).toBe(3)
    admission.admit('interactive', 'a').close()
    for (const session of sessions) session.close()
    sessions[3]!.close()
    expect(admission.openSessions()).toBe(0)
    for (let index = 0; index < 4; index++) admission.admit('interactive', 'a')
    expect(() => admission.admit('interactive', 'a')).toThrow('got 4')
  })

  test('background work waits behind all other work and keeps no interactive session out', () => {
    const { admission } = setUp(4)
    admission.admit('background', '').submit(100)
    expect(() => admission.admit('background', '')).toThrow('got 100')
    for (let index = 0; index < 4; index++) admission.admit('interactive', 'a')
    expect(() => admission.admit('interactive', 'a')).toThrow('got 4')
  })

  test('callers share the limit: one is refused for its own rows only', () => {
    const { world, admission } = setUp(8)
    const answered = admission.admit('interactive', 'greedy').submit(100)
    expect(() => admission.admit('interactive', 'greedy')).toThrow('fewer than 8 rows waiting, got 100')
    const polite = admission.admit('interactive', 'polite')
    expect(() => admission.admit('interactive', 'greedy')).toThrow(
      'fewer than 4 (the share of one of 2 callers) rows waiting, got 100',
    )
    polite.submit(3)
    const second = admission.admit('interactive', 'polite')
    expect(() => admission.admit('interactive', 'polite')).toThrow('got 4')
    world.runningRows = 4
    admission.admit('interactive', 'polite').close()
    world.runningRows = 0
    second.close()
    polite.close()
    // The share of a caller that has gone is free again.
    answered()
    for (let index = 0; index < 8; index++) admission.admit('interactive', 'greedy')
    expect(() => admission.admit('interactive', 'greedy')).toThrow('fewer than 8 rows waiting, got 8')
  })

  test('each caller may have a session, up to as many callers as rows may wait', () => {
    const { admission } = setUp(3)
    for (const caller of ['a', 'b', 'c']) admission.admit('interactive', caller)
    expect(() => admission.admit('interactive', 'a')).toThrow('share of one of 3 callers')
    expect(() => admission.admit('interactive', 'd')).toThrow('at most 3 callers at once, got 4')
  })

  test('the retry time is the time of the open sessions at the measured rate', () => {
    const { world, admission } = setUp(8)
    const inside = Array.from({ length: 8 }, () => admission.admit('interactive', 'a'))
    expect(retryAfter(admission)).toBe(1)
    // Two sessions a second for a minute, eight of them always open.
    for (let served = 0; served < 120; served++) {
      world.now += 500
      const done = inside.shift()!
      done.submit(1)()
      done.close()
      inside.push(admission.admit('interactive', 'a'))
    }
    expect(retryAfter(admission)).toBe(4)
    // Each refusal of a caller sends its request half a second further, the time of one session.
    expect([1, 2, 3, 4].map(() => retryAfter(admission))).toEqual([5, 5, 6, 6])
    expect([1, 2, 3, 4].map(() => retryAfter(admission, 'a', 'check'))).toEqual([7, 7, 8, 8])
    expect(Array.from({ length: 300 }, () => retryAfter(admission)).at(-1)).toBe(60)
    // Hours without a request do not change the rate.
    for (const session of inside.splice(0)) session.close()
    world.now += 10_000_000
    inside.push(...Array.from({ length: 8 }, () => admission.admit('interactive', 'a')))
    expect(retryAfter(admission)).toBe(4)
    // Sessions that close without a call do not count as served.
    for (let index = 0; index < 50; index++) {
      inside.pop()!.close()
      inside.push(admission.admit('interactive', 'a'))
    }
    expect(retryAfter(admission)).toBe(5)
    // No session is served any longer: the estimate grows, up to a minute.
    world.now += 30_000
    expect(retryAfter(admission)).toBeGreaterThan(8)
    world.now += 300_000
    expect(retryAfter(admission)).toBe(60)
  })
})
