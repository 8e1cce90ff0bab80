import { EventEmitter } from 'node:events'
import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { startMaintenance } from '../../../src/jobs/maintenance.ts'

const DAY_MS = 24 * 3_600_000
const NOW = Date.UTC(2026, 2, 1)

/** Runs maintenance once with a database whose clock shows `NOW`. */
async function tidyAt(clock: number) {
  const deleted: unknown[] = []
  const lines: string[] = []
  const client = Object.assign(new EventEmitter(), {
    release() {},
    query: async (sql: string, values: unknown[]) => {
      if (sql.includes('now()')) return { rows: [{ now: NOW }] }
      if (sql.includes('from episodes where created_at < $1')) deleted.push(values[0])
      return { rowCount: 0, rows: [] }
    },
  })
  const pool = { connect: async () => client }
  const tidied = vi.fn(async () => {})
  const maintenance = startMaintenance({
    database: { kind: 'server', pool: pool as never },
    outbox: { relayAgain: async () => 0, recover: async () => 0, prune: async () => 0 },
    requestConsolidations: tidied,
    episodeTtlDays: 30,
    episodeCapacity: 0,
    auditTtlDays: 0,
    logger: pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
    clock: () => clock,
  })
  await vi.waitFor(() => expect(tidied).toHaveBeenCalled())
  await maintenance.close()
  return { deleted, lines }
}

test.each([0, 59 * 60_000, -59 * 60_000])(
  'deletes by the clock of the database, %d ms off',
  async (offset) => {
    expect(await tidyAt(NOW + offset)).toEqual({ deleted: [new Date(NOW - 30 * DAY_MS)], lines: [] })
  },
)

test.each([365 * DAY_MS, -365 * DAY_MS, 61 * 60_000])(
  'deletes nothing while the clocks are %d ms apart',
  async (offset) => {
    expect(await tidyAt(NOW + offset)).toEqual({
      deleted: [],
      lines: ['clocks of worker and database differ by more than an hour: old episodes are kept'],
    })
  },
)

test('runs every task although each one fails, and warns of each', async () => {
  const ran: string[] = []
  const lines: { msg: string; task: string }[] = []
  const fail = (name: string) => async (): Promise<never> => {
    ran.push(name)
    throw new Error(name)
  }
  const requested = vi.fn(fail('request'))
  const maintenance = startMaintenance({
    database: { kind: 'embedded', pool: { connect: fail('database') } as never },
    outbox: { recover: fail('recover'), relayAgain: fail('relay again'), prune: fail('prune') },
    consolidations: { recover: fail('recover consolidations') },
    watchHealth: fail('watch health'),
    requestConsolidations: requested,
    episodeTtlDays: 30,
    episodeCapacity: 9,
    auditTtlDays: 30,
    logger: pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  })
  await vi.waitFor(() => expect(lines.length).toBe(18))
  await maintenance.close()
  expect(ran).toEqual([
    'recover',
    'relay again',
    'recover consolidations',
    'prune',
    ...Array(11).fill('database'),
    'watch health',
    'request',
    'database',
  ])
  expect(lines.map(({ msg }) => msg)).toEqual([
    'maintenance: recovery of jobs failed',
    'maintenance: second hand-over of jobs failed',
    'maintenance: recovery of consolidations failed',
    'maintenance: deletion of old outbox rows failed',
    'maintenance: deletion of old episodes failed',
    'maintenance: deletion of episodes beyond the capacity failed',
    'maintenance: deletion of old artifacts failed',
    'maintenance: deletion of old step records failed',
    'maintenance: deletion of old records of calls failed',
    'maintenance: second hand-over of solutions failed',
    'maintenance: deletion of old solutions failed',
    'maintenance: deletion of old idempotency keys failed',
    'maintenance: deletion of ended counters of limits failed',
    'maintenance: deletion of old records of deletions failed',
    'maintenance: vacuum failed',
    'maintenance: watch of live outcomes failed',
    'maintenance: requests of due consolidations failed',
    'maintenance: projection of old episodes failed',
  ])
})

test('projects old episodes after the other tasks, and stops at the end', async () => {
  const ran: string[] = []
  const client = Object.assign(new EventEmitter(), {
    release() {},
    async query(sql: string) {
      if (sql.includes('projection_seed')) return { rows: [{ seed: '1' }] }
      if (!sql.includes('projection is null')) return { rowCount: 0, rows: [] }
      ran.push('project')
      // There is always more to do.
      return { rows: [{ tenant_id: 'a', id: 'b', fingerprint: 'c', embedding: '[1,2]' }] }
    },
  })
  const maintenance = startMaintenance({
    database: { kind: 'server', pool: { connect: async () => client } as never },
    outbox: { relayAgain: async () => 0, recover: async () => 0, prune: async () => 0 },
    requestConsolidations: async () => void ran.push('request'),
    episodeTtlDays: 0,
    episodeCapacity: 0,
    auditTtlDays: 0,
    logger: pino({ level: 'silent' }),
  })
  await vi.waitFor(() => expect(ran.slice(0, 3)).toEqual(['request', 'project', 'project']), 20_000)
  await maintenance.close()
})
