/** @file Global set-up of the e2e tests: the data directory of a migrated embedded database, which tests copy. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { prepareTemplate } from './migrations.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Not provided in projects without this set-up. */
    embeddedTemplate?: string
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-template-'))
  await prepareTemplate({ dataDir })
  project.provide('embeddedTemplate', dataDir)
  return () => rm(dataDir, { recursive: true, force: true })
}
