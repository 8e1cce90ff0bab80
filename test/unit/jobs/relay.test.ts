import { pino } from 'pino'
import { describe, expect, it, vi } from 'vitest'
import type { OutboxRow } from '#episodes'
import type { NewJob, QueueName } from '../../../src/jobs/contracts.ts'
import { type RelayParts, startRelay } from '../../../src/jobs/relay.ts'

/** An outbox and a queue in memory, with faults to switch on. */
function createParts() {
  const waiting: OutboxRow[] = []
  const claimed = new Map<string, OutboxRow>()
  const relayed: string[] = []
  const added: Record<QueueName, NewJob[]> = { episodes: [], consolidations: [], solutions: [] }
  const logged: string[] = []
  const faults = { claim: false, add: false, away: false }
  const queue = (name: QueueName) => ({
    isReady: () => !faults.away,
    add: async (jobs: readonly NewJob[]) => {
      if (faults.add) throw new Error('queue error')
      added[name].push(...jobs)
    },
  })
  const parts: RelayParts = {
    outbox: {
      claim: async (limit) => {
        if (faults.claim) throw new Error('database unavailable')
        const rows = waiting.splice(0, limit)
        for (const row of rows) claimed.set(row.id, row)
        return rows
      },
      renew: async () => {},
      markRelayed: async (ids) => {
        for (const id of ids) if (claimed.delete(id)) relayed.push(id)
      },
      release: async (ids) => {
        for (const id of ids) {
          waiting.push(claimed.get(id)!)
          claimed.delete(id)
        }
      },
    },
    queues: {
      episodes: queue('episodes'),
      consolidations: queue('consolidations'),
      solutions: queue('solutions'),
    },
    takeTurns: async (questions) =>
      new Map(questions.map(({ solutionId }, index) => [solutionId, index + 1])),
    logger: pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line).msg) }),
  }
  const put = (count: number) => {
    for (let n = 1; n <= count; n++) waiting.push({ id: `row-${n}`, kind: 'episode.index', payload: { n } })
  }
  return { parts, put, waiting, claimed, relayed, added, logged, faults }
}

const soon = { timeout: 10_000, interval: 10 }

describe('startRelay', () => {
  it('adds a job with the id of every row, and marks the row', async () => {
    const { parts, put, added, relayed, logged } = createParts()
    put(250)
    const relay = startRelay(parts)
    await vi.waitFor(() => expect(relayed).toHaveLength(250), soon)
    await relay.close()
    expect(added.episodes).toHaveLength(250)
    expect(added.episodes[0]).toEqual({ id: 'row-1', name: 'episode.index', payload: { n: 1 } })
    expect(logged).toEqual([])
  })

  it('adds each row to the queue of its kind, and leaves unknown kinds in the outbox', async () => {
    const { parts, put, waiting, added, relayed, claimed, logged } = createParts()
    put(2)
    waiting.push({ id: 'consolidation', kind: 'consolidation.run', payload: { consolidationId: 'c' } })
    waiting.push({ id: 'strange', kind: 'episode.dream' as never, payload: {} })
    const relay = startRelay(parts)
    await vi.waitFor(() => expect(relayed).toEqual(['row-1', 'row-2', 'consolidation']), soon)
    await relay.close()
    expect(added.episodes.map(({ id }) => id)).toEqual(['row-1', 'row-2'])
    expect(added.consolidations).toEqual([
      { id: 'consolidation', name: 'consolidation.run', payload: { consolidationId: 'c' } },
    ])
    // Claimed until its lease ends.
    expect([...claimed.keys()]).toEqual(['strange'])
    expect(logged).toEqual(['relay: rows of unknown kinds left in the outbox'])
  })

  it('gives the jobs of questions their turns', async () => {
    const { parts, waiting, added, relayed } = createParts()
    const payload = (solutionId: string) => ({ tenantId: 'a', solutionId })
    waiting.push({ id: 'row-1', kind: 'solution.run', payload: payload('first') })
    waiting.push({ id: 'row-2', kind: 'solution.webhook', payload: payload('first') })
    waiting.push({ id: 'row-3', kind: 'solution.run', payload: payload('second') })
    const relay = startRelay(parts)
    await vi.waitFor(() => expect(relayed).toHaveLength(3), soon)
    await relay.close()
    expect(added.solutions).toEqual([
      { id: 'row-1', name: 'solution.run', payload: payload('first'), turn: 1 },
      { id: 'row-2', name: 'solution.webhook', payload: payload('first') },
      { id: 'row-3', name: 'solution.run', payload: payload('second'), turn: 2 },
    ])
  })

  it.each(['claim', 'add'] as const)('continues after %s has failed, and logs one warning', async (fault) => {
    const { parts, put, waiting, claimed, relayed, logged, faults } = createParts()
    faults[fault] = true
    put(3)
    const relay = startRelay(parts)
    await vi.waitFor(
      () => expect(logged).toEqual(['relay: queue or database unavailable, jobs wait in the outbox']),
      soon,
    )
    expect([waiting.length, claimed.size, relayed.length]).toEqual([3, 0, 0])
    faults[fault] = false
    await vi.waitFor(() => expect(relayed).toHaveLength(3), soon)
    await relay.close()
    expect(logged).toEqual([
      'relay: queue or database unavailable, jobs wait in the outbox',
      'relay: queue and database available again',
    ])
  })

  it('claims nothing while the queue is unavailable, and logs an outage only when it lasts', async () => {
    const { parts, put, waiting, relayed, logged, faults } = createParts()
    faults.away = true
    put(3)
    const relay = startRelay(parts)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect([waiting.length, logged.length]).toEqual([3, 0])
    await vi.waitFor(
      () => expect(logged).toEqual(['relay: queue or database unavailable, jobs wait in the outbox']),
      soon,
    )
    faults.away = false
    await vi.waitFor(() => expect(relayed).toHaveLength(3), soon)
    await relay.close()
  })

  it('renews the claim of rows whose hand-over takes long, and stops with it', async () => {
    const { parts, put, relayed } = createParts()
    const renewed: (readonly string[])[] = []
    put(2)
    const slow: RelayParts = {
      ...parts,
      outbox: { ...parts.outbox, renew: async (ids) => void renewed.push(ids) },
      queues: {
        ...parts.queues,
        episodes: { isReady: () => true, add: () => new Promise((resolve) => setTimeout(resolve, 2_000)) },
      },
    }
    const relay = startRelay(slow)
    await vi.waitFor(() => expect(relayed).toHaveLength(2), soon)
    await relay.close()
    expect(renewed).toEqual([['row-1', 'row-2']])
  })

  it('closes after the current batch, without waiting for the next poll', async () => {
    const { parts, put, relayed } = createParts()
    put(5)
    const relay = startRelay(parts)
    await relay.close()
    expect(relayed).toHaveLength(5)
  })
})
