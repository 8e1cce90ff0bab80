/** @file The service as users run it, in a process of its own: started, asked, and killed. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const ROOT = join(import.meta.dirname, '../..')

export interface ServiceProcess {
  readonly origin: string
  readonly process: ChildProcess
  /** Everything on stdout and stderr so far. */
  output(): string
  /** JSON in, JSON out. */
  ask<Body = Record<string, unknown>>(path: string, init?: Ask): Promise<{ status: number; body: Body }>
  /** Resolves with exit code or signal. */
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
  [Symbol.asyncDispose](): Promise<void>
}

interface Ask {
  readonly method?: string
  readonly body?: unknown
  readonly signal?: AbortSignal
}

/** Starts `src/main.ts` and resolves when it is ready. */
export async function startService(env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
  const port = await freePort()
  const service = spawnService({ PORT: String(port), ...env })
  const origin = `http://127.0.0.1:${port}`
  for (;;) {
    if (service.process.exitCode !== null) throw new Error(`service did not start: ${service.output()}`)
    const response = await fetch(`${origin}/readyz`).catch(() => null)
    await response?.arrayBuffer()
    if (response?.ok) break
    await setTimeout(20)
  }
  return {
    ...service,
    origin,
    async ask<Body>(path: string, { method, body, signal }: Ask = {}) {
      const response = await fetch(`${origin}${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        ...(body !== undefined && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
        ...(signal && { signal }),
      })
      const text = await response.text()
      return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Body }
    },
    kill: (signal) => kill(service.process, signal),
    async [Symbol.asyncDispose]() {
      await kill(service.process, 'SIGKILL')
    },
  }
}

/** Runs a program of the service until it ends by itself. */
export async function runToExit(
  env: Readonly<Record<string, string>>,
  program = 'src/main.ts',
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const { process: service, stderr } = spawnService(env, program)
  const [code] = await once(service, 'close')
  return { code, stderr: stderr() }
}

function spawnService(env: Readonly<Record<string, string>>, program = 'src/main.ts') {
  let out = ''
  let err = ''
  const service = spawn(process.execPath, [program], {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      LOG_LEVEL: 'warn',
      NIGHT_EVERY_EPISODES: '0',
      NIGHT_EVIDENCE_QUESTIONS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  service.stdout.on('data', (chunk) => {
    out += chunk
  })
  service.stderr.on('data', (chunk) => {
    err += chunk
  })
  return { process: service, output: () => out + err, stderr: () => err }
}

async function kill(service: ChildProcess, signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
  if (service.exitCode === null && service.signalCode === null) {
    const exited = once(service, 'exit')
    service.kill(signal)
    await exited
  }
  return service.exitCode ?? service.signalCode
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('free port: expected a TCP address')
  return address.port
}

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'circadian-test-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Children of a process, by /proc. */
export async function childrenOf(parent: number): Promise<number[]> {
  const children: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    // The command stands in parentheses and may hold anything; the parent is the second field after it.
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) children.push(Number(name))
  }
  return children
}
