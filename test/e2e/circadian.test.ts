/** @file `npx circadian` in a checkout. */

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startCommand } from '../support/child-process.ts'
import { circadian } from '../support/circadian-command.ts'
import { freePort, temporaryFolder } from '../support/service-process.ts'

const EMBEDDED = { NIGHT_EVERY_EPISODES: '0', LOG_LEVEL: 'info', DATABASE_URL: '', REDIS_URL: '' }

test('npx circadian serve answers on the port of its option, and shuts down at SIGTERM to npx', async () => {
  await using folder = await temporaryFolder()
  const port = await freePort()
  const args = ['serve', '--model', 'models/order-of-operations', '--port', `${port}`]
  const npx = startCommand('npx', ['circadian', ...args, '--data-dir', folder.path], EMBEDDED)
  onTestFinished(() => void npx.process.kill('SIGKILL'))
  expect(await npx.line('ready: POST')).toContain(`127.0.0.1:${port}`)
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200)
  // Closes when the service, which holds the other end of the pipe, has ended.
  const closed = once(npx.process.stdout!, 'close')
  npx.process.kill('SIGTERM')
  await closed
  expect(npx.lines.join('\n')).toContain('shutting down')
  expect(existsSync(join(folder.path, 'instance.pid'))).toBe(false)
})

test('circadian migrate migrates the embedded database of its option', async () => {
  await using folder = await temporaryFolder()
  const { code, stdout, stderr } = await circadian(['migrate', '--data-dir', folder.path])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('schema is up to date')
})
