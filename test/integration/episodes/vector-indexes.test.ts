import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  createEpisodeStore,
  createVectorIndexes,
  type EpisodeStore,
  startIndexingLargeTenants,
  vectorIndexName,
} from '#episodes'
import { newEpisode, unitVector } from '../../support/episodes.ts'
import { eraseAll } from '../../support/erase-all.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'

const WIDTH = 16
const LARGE = 300
/** The servers of the tests may have a pgvector below 0.8.4; nothing vacuums beside these builds. */
const MIN_PGVECTOR = '0.8.0'

describe.skipIf(servers === null)('indexes of large tenants', () => {
  let test: ServerDatabase
  let exact: EpisodeStore
  const logged: Record<string, unknown>[] = []
  const logger = pino({ level: 'info' }, { write: (line) => logged.push(JSON.parse(line)) })
  const upkeeps: { close(): Promise<void> }[] = []

  beforeEach(async () => {
    logged.length = 0
    test = await createServerDatabase()
    exact = createEpisodeStore({ database: test.database, vectorIndexes: { has: () => false } })
    for (let seed = 0; seed < LARGE; seed++) await exact.add(episode("o'hara", seed))
    for (let seed = 0; seed < 20; seed++) await exact.add(episode('small', seed))
  })
  afterEach(async () => {
    for (const upkeep of upkeeps.splice(0)) await upkeep.close()
    await test.drop()
  })

  const episode = (tenantId: string, seed: number) =>
    newEpisode({ tenantId, seed, embedding: unitVector(seed + 1_000, WIDTH) })

  function keepUp(over: { minPgvector?: string; minEpisodes?: number } = {}) {
    const options = { minPgvector: MIN_PGVECTOR, minEpisodes: 200, intervalMs: 100, ...over }
    const upkeep = startIndexingLargeTenants({ database: test.database, logger, ...options })
    upkeeps.push(upkeep)
    return upkeep
  }

  async function indexes(): Promise<string[]> {
    const { rows } = await test.database.pool.query<{ name: string }>(
      "select indexrelid::regclass::text as name from pg_index where indrelid = 'episodes'::regclass and indisvalid",
    )
    return rows.map(({ name }) => name).filter((name) => name.startsWith('episodes_hnsw_'))
  }

  const ofLarge = vectorIndexName("o'hara", 'model-1')

  it('are built once by two workers, for large tenants only, and found by the stores', async () => {
    keepUp()
    keepUp()
    await vi.waitFor(async () => expect(await indexes()).toEqual([ofLarge]), { timeout: 10_000 })
    const vectorIndexes = createVectorIndexes({ database: test.database, minPgvector: MIN_PGVECTOR })
    // The first call begins a reading, and no request waits for it.
    await vi.waitFor(() => expect(vectorIndexes.has("o'hara", 'model-1')).toBe(true))
    expect(vectorIndexes.has('small', 'model-1')).toBe(false)
    expect(vectorIndexes.has("o'hara", 'model-2')).toBe(false)
    expect(
      await createVectorIndexes({ database: test.database, minPgvector: '99.0.0' }).has("o'hara", 'model-1'),
    ).toBe(false)
    expect(logged.filter(({ level }) => Number(level) >= 40)).toEqual([])
  })

  it('give the neighbours of the exact scan, with a floor and with exclusions', async () => {
    keepUp()
    await vi.waitFor(async () => expect(await indexes()).toEqual([ofLarge]), { timeout: 10_000 })
    const indexed = createEpisodeStore({ database: test.database, vectorIndexes: { has: () => true } })
    let same = 0
    for (let seed = 0; seed < 20; seed++) {
      const ask = {
        tenantId: "o'hara",
        fingerprint: 'model-1',
        embedding: unitVector(seed, WIDTH),
        topK: 8,
        minSimilarity: 0.4,
      }
      const [first] = await exact.nearest(ask)
      const wish = { ...ask, exclude: first === undefined ? [] : [first.episodeId] }
      const [expected, found] = [await exact.nearest(wish), await indexed.nearest(wish)]
      expect(found.length).toBe(expected.length)
      expect(found.map(({ episodeId }) => episodeId)).not.toContain(first?.episodeId)
      for (const { similarity } of found) expect(similarity).toBeGreaterThanOrEqual(0.4)
      if (JSON.stringify(found) === JSON.stringify(expected)) same += 1
    }
    expect(same).toBeGreaterThanOrEqual(19)
    const { rows } = await test.database.pool.query(
      "select current_setting('hnsw.iterative_scan', true) as scan",
    )
    expect(rows).not.toEqual([{ scan: 'strict_order' }])
  })

  it('are dropped when the tenant has become small', async () => {
    keepUp()
    await vi.waitFor(async () => expect(await indexes()).toEqual([ofLarge]), { timeout: 10_000 })
    await exact.removeAll("o'hara")
    await eraseAll(test.database)
    await vi.waitFor(async () => expect(await indexes()).toEqual([]), { timeout: 10_000 })
  })

  it('are not built on an older pgvector, which is logged once', async () => {
    const upkeep = keepUp({ minPgvector: '99.0.0' })
    await vi.waitFor(() => expect(logged).not.toEqual([]), { timeout: 10_000 })
    await new Promise((resolve) => setTimeout(resolve, 500))
    await upkeep.close()
    expect(await indexes()).toEqual([])
    expect(logged).toMatchObject([
      { level: 40, tenants: 1, msg: expect.stringContaining('pgvector is too old') },
    ])
  })

  it('do not keep a worker that closes waiting', async () => {
    // A transaction with an older snapshot makes the build wait.
    const blocker = await test.database.pool.connect()
    await blocker.query('begin isolation level repeatable read')
    await blocker.query('update episodes set answer = answer where seed = 1')
    const upkeep = keepUp()
    await vi.waitFor(() => expect(logged).not.toEqual([]), { timeout: 10_000 })
    const started = performance.now()
    await upkeep.close()
    expect(performance.now() - started).toBeLessThan(1_000)
    await blocker.query('rollback')
    blocker.release()
    await vi.waitFor(async () => expect(await indexes()).toEqual([ofLarge]), { timeout: 10_000 })
  })
})
