/** @file The service as `npm start` runs it, in a process of its own, on a free port. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Solution, SolveRequest } from '#solving'
import { freePort } from '../../test/support/service-process.ts'
import type { EventLoopDelay } from './event-loop-probe.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Switches off nights that begin by themselves: training would disturb the timing. */
const NO_NIGHTS = { NIGHT_EVERY_EPISODES: '0', NIGHT_EVIDENCE_QUESTIONS: '0' }

/** A process of the service with the probe of its event loop. */
export interface ProbedProcess {
  readonly origin: string
  readonly pid: number
  /** Milliseconds from spawn to the first 200 of `/readyz`. */
  readonly readyMs: number
  /** Delays of its event loop since the last call. */
  eventLoopDelay(): Promise<EventLoopDelay>
  stop(): Promise<void>
}

export interface RunningService extends ProbedProcess {
  solve(body: Partial<SolveRequest>): Promise<Solution>
}

/** Starts the API process. @param env settings beside the data folder; the embedded database unless given */
export async function startService(
  dataDir: string,
  logLevel = 'warn',
  env: Readonly<Record<string, string>> = {},
): Promise<RunningService> {
  const port = await freePort()
  const service = await startProbed('src/main.ts', port, {
    PORT: String(port),
    DATA_DIR: dataDir,
    LOG_LEVEL: logLevel,
    ...env,
  })
  return {
    ...service,
    async solve(body) {
      const response = await fetch(`${service.origin}/solve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      if (!response.ok)
        throw new Error(`solve: expected 200, got ${response.status} ${await response.text()}`)
      return (await response.json()) as Solution
    },
  }
}

/** Starts the worker process on the servers that `env` names. */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  logLevel = 'warn',
): Promise<ProbedProcess> {
  const port = await freePort()
  return startProbed('src/worker.ts', port, { WORKER_PORT: String(port), LOG_LEVEL: logLevel, ...env })
}

async function startProbed(
  program: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<ProbedProcess> {
  const started = performance.now()
  const child = spawn(
    process.execPath,
    ['--import', join(import.meta.dirname, 'event-loop-probe.ts'), program],
    {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...NO_NIGHTS, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  )
  const origin = `http://127.0.0.1:${port}`
  await ready(origin, child)
  return {
    origin,
    pid: child.pid ?? 0,
    readyMs: performance.now() - started,
    async eventLoopDelay() {
      const answer = once(child, 'message')
      child.send('read')
      const [delay] = await answer
      return delay as EventLoopDelay
    },
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function ready(origin: string, service: ChildProcess): Promise<void> {
  for (;;) {
    if (service.exitCode !== null)
      throw new Error(`service: expected it to become ready, got exit ${service.exitCode}`)
    const response = await fetch(`${origin}/readyz`).catch(() => null)
    await response?.arrayBuffer()
    if (response?.ok) return
    await setTimeout(10)
  }
}
