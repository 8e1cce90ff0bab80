/** @file Turns of tenants at the connections of a pool, on clients that connect to nothing. */

import { EventEmitter } from 'node:events'
import type pg from 'pg'
import { expect, test, vi } from 'vitest'
import { asBackground, asTenant } from '#database'
import { nameUse } from '../../../src/database/connection-uses.ts'
import { FairPool, type FairPoolSettings } from '../../../src/database/fair-pool.ts'

let refuses = false

class FakeClient extends EventEmitter {
  _queryable = true
  connect(callback: (error?: Error) => void): void {
    setImmediate(() => callback(refuses ? new Error('refused') : undefined))
  }
  end(callback?: () => void): void {
    setImmediate(() => callback?.())
  }
}

function openPool(max: number, connectionTimeoutMillis = 10_000, onUsed?: FairPoolSettings['onUsed']) {
  const Client = FakeClient as unknown as new () => pg.Client
  const pool = new FairPool({
    max,
    connectionTimeoutMillis,
    idleTimeoutMillis: 0,
    Client,
    ...(onUsed && { onUsed }),
  })
  const order: string[] = []
  /** Waits for a connection, notes that it came, and gives it back. */
  const use = async (name: string) => {
    const client = await pool.connect()
    order.push(name)
    client.release()
  }
  return { pool, order, use }
}

test('tenants take turns: the many of one do not come before the one of another', async () => {
  const { pool, order, use } = openPool(1)
  const held = await pool.connect()
  const uses = ['a1', 'a2', 'a3', 'a4', 'b1', 'job1', 'b2', 'job2'].map((name) =>
    name.startsWith('job') ? use(name) : asTenant(name[0]!, () => use(name)),
  )
  expect(pool.waitingCount).toBe(8)
  held.release()
  await Promise.all(uses)
  expect(order).toEqual(['a1', 'b1', 'job1', 'a2', 'b2', 'job2', 'a3', 'a4'])
  expect(pool.waitingCount).toBe(0)
  await pool.end()
})

test('background work waits for callers, and has a turn when it has paused for four times its last use', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { pool, order, use } = openPool(1)
    const held = await asBackground(() => pool.connect())
    vi.advanceTimersByTime(100)
    const jobs = ['job1', 'job2'].map((name) => asBackground(() => use(name)))
    /** A caller's use of the connection, of 150 ms. */
    const call = async (name: string) => {
      const client = await asTenant('a', () => pool.connect())
      order.push(name)
      vi.advanceTimersByTime(150)
      client.release()
    }
    const calls = ['a1', 'a2', 'a3', 'a4'].map(call)
    expect(pool.waitingCount).toBe(6)
    held.release()
    await Promise.all([...jobs, ...calls])
    // The pause of 400 ms is over after three calls; that of a use of no length at once.
    expect(order).toEqual(['a1', 'a2', 'a3', 'job1', 'job2', 'a4'])
    await pool.end()
  } finally {
    vi.useRealTimers()
  }
})

test('background work takes what no caller waits for', async () => {
  const { pool, order, use } = openPool(1)
  const held = await asBackground(() => pool.connect())
  const jobs = ['job1', 'job2'].map((name) => asBackground(() => use(name)))
  held.release()
  await Promise.all(jobs)
  expect(order).toEqual(['job1', 'job2'])
  await pool.end()
})

test('a wait that takes too long says what the connection was in use for', async () => {
  const { pool, use } = openPool(1, 50)
  const held = await pool.connect()
  nameUse(held, 'vacuum')
  const late = use('late')
  await expect(late).rejects.toThrow(
    /^timeout exceeded when trying to connect \(connections: 1, waiting: 0, most time of the last 0\.05 s: vacuum 0\.\d s\)$/,
  )
  held.release()
  await pool.end()
})

test('a use says its operation and length, and how many waited for its end', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const onUsed = vi.fn<(use: object, waiting: number) => void>()
    const { pool, use } = openPool(1, 10_000, onUsed)
    const held = await pool.connect()
    nameUse(held, 'vacuum')
    vi.advanceTimersByTime(1_500)
    const waiting = use('next')
    held.release()
    await waiting
    expect(onUsed.mock.calls).toEqual([
      [{ operation: 'vacuum', ms: 1_500 }, 1],
      [{ operation: 'statements without a name', ms: 0 }, 0],
    ])
    await pool.end()
  } finally {
    vi.useRealTimers()
  }
})

test('all connections are used, and no more', async () => {
  const { pool, order, use } = openPool(3)
  const held = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
  expect(pool.totalCount).toBe(3)
  const waiting = use('fourth')
  await new Promise(setImmediate)
  expect(order).toEqual([])
  held[1]!.release()
  await waiting
  held[0]!.release()
  held[2]!.release()
  expect([pool.totalCount, pool.idleCount]).toEqual([3, 3])
  await pool.end()
})

test('a wait that takes too long fails in the words of the pool, and takes no place', async () => {
  const { pool, order, use } = openPool(1, 20)
  const held = await pool.connect()
  await expect(asTenant('a', () => use('late'))).rejects.toThrow('timeout exceeded when trying to connect')
  expect(pool.waitingCount).toBe(0)
  held.release()
  await use('next')
  expect(order).toEqual(['next'])
  await pool.end()
})

test('a connection that fails gives its place back', async () => {
  const { pool, use, order } = openPool(1)
  refuses = true
  await expect(Promise.allSettled([use('first'), use('second')])).resolves.toMatchObject([
    { reason: { message: 'refused' } },
    { reason: { message: 'refused' } },
  ])
  refuses = false
  await use('third')
  expect(order).toEqual(['third'])
  await pool.end()
})

test('queries of the pool itself wait in line too', async () => {
  const { pool } = openPool(1)
  const held = await pool.connect()
  const asked = pool.query('select 1')
  expect(pool.waitingCount).toBe(1)
  Object.assign(held, {
    query: (_text: string, _values: unknown, done: (error: null, result: object) => void) =>
      done(null, { rows: [1] }),
  })
  held.release()
  expect(await asked).toEqual({ rows: [1] })
  await pool.end()
  await expect(pool.connect()).rejects.toThrow('after calling end')
})
