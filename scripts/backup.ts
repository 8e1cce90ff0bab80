/**
 * @file Backs up the database of `DATABASE_URL` (or the embedded one in `DATA_DIR`) to one new file:
 * `npm run backup -- FILE`. docs/operations.md describes it.
 *
 * A server is backed up while it serves, with `pg_dump` in its custom format. The embedded database must be
 * stopped; the file is then a compressed tar archive of it.
 */

import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { lockDataDir } from '#database'
import { ServiceError } from '#errors'
import { type Config, loadConfig } from '../src/config.ts'
import { exitWithReason } from '../src/exit-with-reason.ts'
import { connectionOf, fileArgument, runTool } from './backup/tools.ts'

try {
  const config = loadConfig(process.env)
  const file = fileArgument('backup')
  if (existsSync(file))
    throw new ServiceError('CONFIG_INVALID', `backup: expected a new file, got ${file}, which exists`)
  const unfinished = `${file}.part`
  try {
    await write(unfinished, config)
    await rename(unfinished, file)
  } finally {
    await rm(unfinished, { force: true })
  }
  console.log(`backup: wrote ${file}`)
} catch (error) {
  exitWithReason(error)
}

async function write(file: string, { database, dataDir }: Config): Promise<void> {
  if (database !== null) {
    const { url, env } = connectionOf(database.url)
    await runTool('pg_dump', ['--format=custom', `--file=${file}`, `--dbname=${url}`], env)
    return
  }
  if (!existsSync(join(dataDir, 'postgres'))) {
    throw new ServiceError(
      'CONFIG_INVALID',
      `backup: expected a database in ${dataDir}, got none; set DATA_DIR or DATABASE_URL`,
    )
  }
  const unlock = lockDataDir(dataDir)
  try {
    await runTool('tar', ['--create', '--gzip', `--file=${file}`, `--directory=${dataDir}`, 'postgres'])
  } finally {
    unlock()
  }
}
