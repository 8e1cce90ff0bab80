/** @file A database of an earlier release, whose episodes have no projections. */

import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { migrate, openDatabase } from '#database'
import { createEpisodeStore } from '#episodes'
import { startMaintenance } from '../../../src/jobs/maintenance.ts'
import { clusteredVector, newEpisode } from '../../support/episodes.ts'
import { MIGRATIONS, silent } from '../../support/test-database.ts'

const WIDTH = 700
const EPISODES = 130

/** Opens a database with the schema before projections. */
async function openOld() {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-old-'))
  const migrations = join(folder, 'migrations')
  const files = await readdir(MIGRATIONS)
  for (const name of files.filter((file) => file < '0120'))
    await cp(join(MIGRATIONS, name), join(migrations, name))
  const database = await openDatabase({ dataDir: join(folder, 'data'), logger: silent })
  onTestFinished(async () => {
    await database.close()
    await rm(folder, { recursive: true })
  })
  await migrate(database.pool, migrations)
  return database
}

test('old episodes are found at once, and a worker fills in their projections', async () => {
  const database = await openOld()
  const { pool } = database
  for (let seed = 0; seed < EPISODES; seed++) {
    await pool.query(
      `insert into episodes (tenant_id, id, created_at, fingerprint, model_id, strategy, question, embedding, reasoning,
        reward, iterations, evaluations, generated_tokens, stopped, seed, admitted, has_latents)
      values ($1, gen_random_uuid(), now(), 'model-1', 'm', 'auto', 'q', $2, 'r', 0, 0, 0, 0, 'x', $3, true, true)`,
      [seed % 5 === 0 ? 'tenant-b' : 'tenant-a', JSON.stringify([...clusteredVector(seed, WIDTH)]), seed],
    )
  }
  await pool.query(`
    insert into episode_latents (tenant_id, episode_id, length, width, z_base, z_star)
    select tenant_id, id, 1, 1, '\\x0000', '\\x0000' from episodes`)
  const sizes = async () => {
    const { rows } = await pool.query(`
      select count(*) filter (where projection is null)::integer as missing,
        (select pg_relation_size(reltoastrelid)::integer from pg_class where oid = 'episodes'::regclass) as beside
      from episodes`)
    return rows[0] as { missing: number; beside: number }
  }
  await migrate(pool, MIGRATIONS)
  expect(await sizes()).toEqual({ missing: EPISODES, beside: 0 })

  const store = createEpisodeStore({ database })
  const near = (seed: number) =>
    store.nearest({
      tenantId: 'tenant-a',
      fingerprint: 'model-1',
      embedding: clusteredVector(seed, WIDTH),
      topK: 3,
      minSimilarity: -1,
    })
  const before = [await near(7), await near(11)]
  expect(before.map(([first]) => first?.similarity)).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)])
  // The episode of another tenant is not found although it is equal.
  expect((await near(10))[0]?.similarity).toBeLessThan(0.9)
  await store.add(newEpisode({ embedding: clusteredVector(EPISODES, WIDTH) }))
  expect((await near(EPISODES))[0]?.similarity).toBeCloseTo(1, 6)

  const lines: { msg: string; projected?: number }[] = []
  const maintenance = startMaintenance({
    database,
    outbox: { relayAgain: async () => 0, recover: async () => 0, prune: async () => 0 },
    episodeTtlDays: 0,
    episodeCapacity: 0,
    auditTtlDays: 0,
    logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  })
  await vi.waitFor(() => expect(lines).not.toEqual([]), { timeout: 30_000 })
  await maintenance.close()
  expect(lines).toMatchObject([
    { projected: EPISODES, msg: 'episodes of an earlier release: projections filled in' },
  ])
  const after = await sizes()
  expect(after.missing).toBe(0)
  // The embeddings, of 2,800 bytes, have left the rows.
  expect(after.beside).toBeGreaterThan(EPISODES * 4 * WIDTH)
  expect([await near(7), await near(11)]).toEqual(before)
})
