/** @file Creates a database on the real server for each test file. */

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { inject } from 'vitest'
import { openDatabase } from '#database'
import { type Servers, withDatabase } from './servers.ts'
import { silent, type TestDatabase } from './test-database.ts'

/** The servers of the set-up; null when the tests must be skipped. */
export const servers: Servers | null = inject('servers')

export interface ServerDatabase extends TestDatabase {
  readonly url: string
}

/** @param template database to copy, the migrated one unless given; `template1` is empty */
export async function createServerDatabase(template?: string): Promise<ServerDatabase> {
  const { databaseUrl, template: migrated } = expectServers()
  const name = `circadian_test_${randomBytes(6).toString('hex')}`
  await administer(`create database ${name} template ${template ?? migrated}`)
  const url = withDatabase(databaseUrl, name)
  const database = await openDatabase({ url, dataDir: '', logger: silent })
  return {
    url,
    database,
    drop: async () => {
      await database.close()
      await dropDatabase(name)
    },
  }
}

/** Drops a database, with retries: it counts as in use for a moment after its last connection has closed. */
async function dropDatabase(name: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    try {
      return await administer(`drop database ${name}`)
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && error.code === '55006')) throw error
      await delay(100)
    }
  }
  throw new Error(`drop database: expected ${name} to have no connections within 5 s`)
}

export function expectServers(): Servers {
  if (servers === null) throw new Error('internal: this test needs servers')
  return servers
}

async function administer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: expectServers().databaseUrl })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/**
 * Empties one of the server's sixteen numbered databases and returns its URL. Each test file uses its own
 * number.
 */
export async function emptyRedis(number: number): Promise<string> {
  const url = withDatabase(expectServers().redisUrl, String(number))
  const redis = new Redis(url)
  await redis.flushdb()
  redis.disconnect()
  return url
}
