/** @file The examples run against the embedded service exactly as their READMEs print them, but for port and folder. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { blocksOf } from '../support/readme.ts'
import { freePort, startService, temporaryFolder } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

async function bash(command: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout } = await run('bash', ['-c', command], { cwd: ROOT, env: { ...process.env, ...env } })
  return stdout
}

test('curl session', async () => {
  await using data = await dataFolder()
  await using service = await startService({ DATA_DIR: data.path })
  const [command = '', output] = await blocksOf('examples/README.md')
  expect(await bash(command, { SERVER: service.origin })).toBe(output)
})

// Clients in Python: test/ecosystem.
test('OpenAI’s clients and LangChain.js', { timeout: 180_000 }, async () => {
  await using data = await dataFolder()
  await using service = await startService({ DATA_DIR: data.path })
  const [node = '', , curl = '', output] = await blocksOf('examples/openai/README.md')
  for (const command of [node, curl]) {
    expect(await bash(command, { SERVER: service.origin }), command).toBe(output)
  }
  const [chain = '', printed] = await blocksOf('examples/langchain/README.md')
  expect(await bash(chain, { SERVER: service.origin })).toBe(printed)
})

test('your own model', async () => {
  await using data = await temporaryFolder()
  const port = await freePort()
  const [prepare = '', ask = ''] = (await blocksOf('examples/your-own-model/README.md')).map((block) =>
    block.replaceAll('data/my-model', join(data.path, 'my-model')).replaceAll(':8080', `:${port}`),
  )
  const [make = '', start = ''] = prepare.split('\n')
  expect(await bash(make)).toContain('a copy of the bundled model')

  // A process group of its own: npm starts the service as a child.
  const service = spawn('bash', ['-c', start], {
    cwd: ROOT,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, DATA_DIR: join(data.path, 'data'), PORT: String(port), LOG_LEVEL: 'warn' },
  })
  const exited = once(service, 'exit')
  await using stopping = new AsyncDisposableStack()
  stopping.defer(async () => {
    if (service.pid !== undefined && service.exitCode === null) process.kill(-service.pid, 'SIGKILL')
    await exited
  })
  for (;;) {
    expect(service.exitCode, 'exit code of the service before it was ready').toBeNull()
    const response = await fetch(`http://localhost:${port}/readyz`).catch(() => null)
    await response?.arrayBuffer()
    if (response?.ok) break
    await setTimeout(50)
  }

  const [command = '', printed = ''] = ask.split('\n\n')
  expect(JSON.parse(await bash(command))).toMatchObject(JSON.parse(printed))
})
