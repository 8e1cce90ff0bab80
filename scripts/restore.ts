/**
 * @file Restores a file of `npm run backup` into the empty database of `DATABASE_URL` (or into `DATA_DIR`
 * without a database): `npm run restore -- FILE`. docs/operations.md describes it.
 */

import { existsSync } from 'node:fs'
import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { lockDataDir } from '#database'
import { ServiceError } from '#errors'
import { loadConfig } from '../src/config.ts'
import { exitWithReason } from '../src/exit-with-reason.ts'
import { connectionOf, fileArgument, runTool } from './backup/tools.ts'

/** Relations outside of the system's schemas that belong to no extension. */
const COUNT_RELATIONS = `
  select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')`

try {
  const { database, dataDir } = loadConfig(process.env)
  const file = fileArgument('restore')
  const isDump = (await firstBytes(file, 5)) === 'PGDMP'
  if (isDump !== (database !== null)) {
    const [held, wanted] = isDump ? ['a server', 'set'] : ['the embedded database', 'unset']
    throw new ServiceError(
      'CONFIG_INVALID',
      `restore: expected DATABASE_URL to be ${wanted} for a backup of ${held}`,
    )
  }
  await (database === null ? restoreFolder(file, dataDir) : restoreDump(file, database.url))
  console.log(`restore: read ${file}`)
} catch (error) {
  exitWithReason(error)
}

/** All or nothing, in one transaction. Rows belong to the role of the URL. */
async function restoreDump(file: string, databaseUrl: string): Promise<void> {
  const { url, env } = connectionOf(databaseUrl)
  const ask = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', `--dbname=${url}`]
  const relations = Number(await runTool('psql', [...ask, `--command=${COUNT_RELATIONS}`], env))
  if (relations !== 0) {
    throw new ServiceError(
      'CONFIG_INVALID',
      `restore: expected an empty database, got one with ${relations} tables and indexes`,
    )
  }
  const options = [
    '--single-transaction',
    '--exit-on-error',
    '--no-owner',
    '--no-privileges',
    '--no-comments',
  ]
  await runTool('pg_restore', [...options, `--dbname=${url}`, file], env)
}

async function restoreFolder(file: string, dataDir: string): Promise<void> {
  const unlock = lockDataDir(dataDir)
  const target = join(dataDir, 'postgres')
  try {
    if (existsSync(target))
      throw new ServiceError('CONFIG_INVALID', `restore: expected no database in ${dataDir}, got ${target}`)
    const unfinished = await mkdtemp(join(dataDir, 'restore-'))
    try {
      await runTool('tar', ['--extract', '--gzip', `--file=${file}`, `--directory=${unfinished}`])
      await rename(join(unfinished, 'postgres'), target)
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  } finally {
    unlock()
  }
}

async function firstBytes(file: string, length: number): Promise<string> {
  await using handle = await open(file)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0)
  return buffer.toString('latin1', 0, bytesRead)
}
