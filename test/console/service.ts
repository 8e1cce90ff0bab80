/** @file The one service of all console tests, started before the first file and stopped after the last. */

import type { TestProject } from 'vitest/node'
import { startService, temporaryFolder } from '../support/service-process.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of the service on the bundled model, such as `http://127.0.0.1:3000`. Provided to console tests. */
    consoleOrigin: string
  }
}

/** Called by vitest. Takes the running service at `CONSOLE_ORIGIN` instead when that is set. @returns function that stops the service */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const running = process.env['CONSOLE_ORIGIN']
  if (running !== undefined) {
    project.provide('consoleOrigin', running)
    return async () => {}
  }
  const folder = await temporaryFolder()
  const service = await startService({ DATA_DIR: folder.path })
  project.provide('consoleOrigin', service.origin)
  return async () => {
    await service.kill('SIGTERM')
    await folder[Symbol.asyncDispose]()
  }
}
