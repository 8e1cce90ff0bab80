import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { migrate, openDatabase } from '#database'
import { createEpisodeStore, createOutbox } from '#episodes'
import { connectQueues } from '#jobs'
import { startProgram } from '../../support/child-process.ts'
import { MIGRATIONS, silent } from '../../support/test-database.ts'

const WRITER = join(import.meta.dirname, '../../support/episode-writer.ts')

describe('the embedded database after SIGKILL', () => {
  let dataDir: string
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'circadian-'))
  })
  afterEach(() => rm(dataDir, { recursive: true }))

  it('has every acknowledged episode complete, and indexes it', async () => {
    const acknowledged: string[] = []
    for (let kill = 0; kill < 3; kill++) {
      const writer = startProgram(WRITER, { args: [dataDir] })
      await vi.waitFor(() => expect(writer.lines.length).toBeGreaterThan(10), {
        timeout: 30_000,
        interval: 5,
      })
      await delay(37 * kill)
      await writer.kill()
      acknowledged.push(
        ...writer.lines.filter((line) => line.startsWith('added ')).map((line) => line.slice(6)),
      )
    }
    expect(acknowledged.length).toBeGreaterThan(20)

    const database = await openDatabase({ dataDir, logger: silent })
    const store = createEpisodeStore({ database })
    const outbox = createOutbox({ database })
    const queues = connectQueues({ database, logger: silent })
    const worker = queues.startWorker({ store, outbox })
    try {
      await vi.waitFor(
        async () => {
          for (const id of acknowledged) {
            expect(await store.get('tenant-a', id)).toMatchObject({
              status: 'indexed',
              candidates: [{ answer: '12' }],
            })
          }
        },
        { timeout: 40_000, interval: 200 },
      )
      const { rows } = await database.pool.query(`
        select (select count(*) from episodes) = (select count(*) from episode_latents) as whole,
          (select count(*) from episodes) = (select count(*) from candidates) as judged`)
      expect(rows).toEqual([{ whole: true, judged: true }])
    } finally {
      await worker.close()
      await queues.close()
      await database.close()
    }
  })

  it('starts anew when its first start was killed', async () => {
    const writer = startProgram(WRITER, { args: [dataDir] })
    await vi.waitFor(async () => expect(await readdir(dataDir)).toContain('postgres.new'), {
      timeout: 20_000,
      interval: 5,
    })
    await delay(100)
    await writer.kill()
    expect(await readdir(dataDir)).not.toContain('postgres')

    const database = await openDatabase({ dataDir, logger: silent })
    expect(await migrate(database.pool, MIGRATIONS)).toContain(1)
    await database.close()
    expect(await readdir(dataDir)).not.toContain('postgres.new')
  })
})
