/** @file `npm start` as supervisors run it: a signal to npm ends the service. */

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startCommand } from '../support/child-process.ts'
import { childrenOf, freePort, temporaryFolder } from '../support/service-process.ts'

test('SIGTERM to npm, not to node, ends the service with exit code 0', async () => {
  await using folder = await temporaryFolder()
  const port = await freePort()
  const npm = startCommand('npm', ['start'], {
    DATA_DIR: folder.path,
    PORT: `${port}`,
    NIGHT_EVERY_EPISODES: '0',
    LOG_LEVEL: 'info',
    DATABASE_URL: '',
    REDIS_URL: '',
  })
  onTestFinished(() => void npm.process.kill('SIGKILL'))
  await npm.line('ready: POST')
  const [service, ...others] = await childrenOf(npm.process.pid!)
  expect(others).toEqual([])
  const exited = once(npm.process, 'exit')
  npm.process.kill('SIGTERM')
  expect(await exited, npm.lines.join('\n')).toEqual([0, null])
  expect(() => process.kill(service!, 0)).toThrow('ESRCH')
  expect(npm.lines.join('\n')).toContain('shutting down')
})

test('SIGTERM during the start ends the service with exit code 0, and unlocks its folder', async () => {
  await using folder = await temporaryFolder()
  const service = startCommand(process.execPath, ['src/main.ts'], {
    DATA_DIR: folder.path,
    PORT: '0',
    NIGHT_EVERY_EPISODES: '0',
    LOG_LEVEL: 'info',
    DATABASE_URL: '',
    REDIS_URL: '',
  })
  onTestFinished(() => void service.process.kill('SIGKILL'))
  const exited = once(service.process, 'exit')
  await expect.poll(() => existsSync(join(folder.path, 'postgres')), { timeout: 20_000 }).toBe(true)
  service.process.kill('SIGTERM')
  expect(await exited, service.lines.join('\n')).toEqual([0, null])
  expect(service.lines.join('\n')).toContain('shutting down')
  expect(service.lines.join('\n')).not.toContain('ready: POST')
  expect(existsSync(join(folder.path, 'instance.pid'))).toBe(false)
})
