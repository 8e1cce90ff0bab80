/** @file `npm run backup` and `npm run restore` of a served database: the restored one gives the same answers. */

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Database } from '#database'
import { createEngine, type Engine } from '#engine'
import { createEpisodeStore } from '#episodes'
import { createSolver } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'
import { temporaryFolder } from '../../support/service-process.ts'
import { silent } from '../../support/test-database.ts'

const ROOT = join(import.meta.dirname, '../../..')
const MODEL = join(ROOT, 'models/order-of-operations')

const problems = makeProblems({ split: 'train', count: 20, seed: 23 })

/** Runs `scripts/<name>.ts FILE` on the database of `url`. */
const run = (name: string, file: string, url: string) =>
  promisify(execFile)(process.execPath, [`scripts/${name}.ts`, file], {
    cwd: ROOT,
    env: { ...process.env, DATABASE_URL: url, REDIS_URL: '' },
  })

describe.skipIf(servers === null)('backup and restore of a server', () => {
  it('gives the same rows and the same answers, and refuses to overwrite anything', async () => {
    const [from, to] = [await createServerDatabase(), await createServerDatabase('template1')]
    const engine = await createEngine({
      executionProvider: 'cpu',
      cudaDevice: 0,
      directory: MODEL,
      logger: silent,
    })
    onTestFinished(async () => {
      await engine.close()
      await from.drop()
      await to.drop()
    })
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'circadian.dump')
    await answers(from.database, engine, { learn: true })
    const before = await answers(from.database, engine, { learn: false })
    expect(before.some(({ retrieved }) => retrieved > 0)).toBe(true)

    await run('backup', file, from.url)
    expect((await stat(file)).size).toBeGreaterThan(10_000)
    await expect(run('backup', file, from.url)).rejects.toMatchObject({
      code: 78,
      stderr: expect.stringContaining('backup: expected a new file'),
    })

    await run('restore', file, to.url)
    expect(await rowCounts(to.database)).toEqual(await rowCounts(from.database))
    expect(await answers(to.database, engine, { learn: false })).toEqual(before)
    await expect(run('restore', file, to.url)).rejects.toMatchObject({
      code: 78,
      stderr: expect.stringContaining('restore: expected an empty database'),
    })
  }, 120_000)

  it('leaves no file behind when the database cannot be reached', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'circadian.dump')
    const url = 'postgres://somebody:se%2Fcret@127.0.0.1:1/nothing'
    const failed = await run('backup', file, url).catch((error) => error)
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('pg_dump: expected exit code 0'),
    })
    expect(failed.stderr).not.toMatch(/se(%2F|\/)cret/)
    for (const path of [file, `${file}.part`]) await expect(stat(path)).rejects.toThrow('ENOENT')
  })
})

async function answers(database: Database, engine: Engine, { learn }: { learn: boolean }) {
  const solver = createSolver({ engine, episodes: createEpisodeStore({ database }), logger: silent })
  const { signal } = new AbortController()
  const given = []
  for (const [seed, { question }] of problems.entries()) {
    const asked = { tenantId: 'default', question, seed, learn, explain: false, strategy: 'auto' } as const
    const { answer, reasoning, reward, iterations, retrieved } = await solver.solve(asked, { signal })
    given.push({ answer, reasoning, reward, iterations, retrieved: retrieved.length })
  }
  return given
}

async function rowCounts({ pool }: Database): Promise<Record<string, number>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    "select table_name as name from information_schema.tables where table_schema = 'public' order by 1",
  )
  const counts: Record<string, number> = {}
  for (const { name } of tables) {
    const { rows } = await pool.query(`select count(*)::integer as n from "${name}"`)
    counts[name] = rows[0].n
  }
  return counts
}
