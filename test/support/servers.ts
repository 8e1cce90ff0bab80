/**
 * @file Global set-up of the integration tests: real servers, and a migrated database that each test file
 * copies.
 */

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { prepareTemplate } from './migrations.ts'

export interface Servers {
  /** URL of a server where databases may be created. */
  readonly databaseUrl: string
  readonly redisUrl: string
  /** Name of the migrated database, for `create database ... template`. */
  readonly template: string
}

declare module 'vitest' {
  interface ProvidedContext {
    /** null: no servers are available, and the tests are skipped. */
    servers: Servers | null
  }
}

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, CI } = process.env
  if (!databaseUrl || !redisUrl) {
    const message =
      'integration tests: expected DATABASE_URL and REDIS_URL; `.ci/with-servers npm run test:integration` starts both'
    if (CI) throw new Error(message)
    console.warn(`\n${message}: SKIPPED\n`)
    project.provide('servers', null)
    return
  }
  const template = `circadian_template_${randomBytes(6).toString('hex')}`
  const admin = new pg.Client({ connectionString: databaseUrl })
  await admin.connect()
  await admin.query(`create database ${template}`)
  await prepareTemplate({ url: withDatabase(databaseUrl, template), dataDir: '' })
  project.provide('servers', { databaseUrl, redisUrl, template })
  return async () => {
    await admin.query(`drop database ${template}`)
    await admin.end()
  }
}

/** Returns the URL of another database on the same server. */
export function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
