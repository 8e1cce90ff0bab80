/** @file `npm run backup` and `npm run restore` of the embedded database: refused while it runs, whole afterwards. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startService, temporaryFolder } from '../support/service-process.ts'

const ROOT = join(import.meta.dirname, '../..')
const QUESTION = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'

/** Runs `scripts/<name>.ts FILE` on the embedded database in `dataDir`. */
const run = (name: string, file: string, dataDir: string) =>
  promisify(execFile)(process.execPath, [`scripts/${name}.ts`, file], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], DATA_DIR: dataDir },
  })

test('a backup of the embedded database waits until it is stopped, and restores every episode', async () => {
  await using folder = await temporaryFolder()
  const [dataDir, restored] = [join(folder.path, 'data'), join(folder.path, 'restored')]
  const file = join(folder.path, 'circadian.tar.gz')

  const first = await startService({ DATA_DIR: dataDir })
  const { body: solved } = await first.ask('/solve', {
    body: { question: QUESTION, strategy: 'auto', seed: 7 },
  })
  await expect(run('backup', file, dataDir)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('DATA_DIR_LOCKED'),
  })
  expect(await first.kill('SIGTERM')).toBe(0)

  await run('backup', file, dataDir)
  await run('restore', file, restored)
  await expect(run('restore', file, restored)).rejects.toMatchObject({
    code: 78,
    stderr: expect.stringContaining('restore: expected no database'),
  })

  await using second = await startService({ DATA_DIR: restored })
  const { body } = await second.ask<{ episodes: { id: string; answer: string }[] }>('/episodes')
  expect(body.episodes).toMatchObject([{ id: solved['episodeId'], answer: solved['answer'] }])
})

test('a backup of a folder without a database is refused', async () => {
  await using folder = await temporaryFolder()
  await expect(run('backup', join(folder.path, 'file'), folder.path)).rejects.toMatchObject({
    code: 78,
    stderr: expect.stringContaining('backup: expected a database'),
  })
})
