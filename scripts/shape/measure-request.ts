/** @file Runs the service under V8's call counter and sends it one request. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Profiler } from 'node:inspector'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const QUESTION = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'
const SEED = 7
const START_TIMEOUT_MS = 60_000
/** Time, in ms, in which an idle service shows what its timers call: more than all of their periods at the start. */
const IDLE_MS = 3000

export interface CalledFunction {
  /** Path of its file from the root of the checkout. */
  readonly path: string
  /** Name and offset in the file. */
  readonly name: string
}

/** One debugged process. */
interface Debugger {
  send(method: string, params?: object): Promise<unknown>
  close(): void
}

/**
 * Starts the service of the checkout `root` on an empty data folder and solves README's question with it.
 *
 * @returns functions of src/ that the API process and the engine process called between request and response, without those
 *   that they called before it, when they were idle
 */
export async function measureRequest(root: string, strategy: string): Promise<CalledFunction[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shape-'))
  const service = spawn(process.execPath, ['src/main.ts'], {
    cwd: root,
    env: {
      ...process.env,
      PORT: '0',
      DATA_DIR: folder,
      DATABASE_URL: '',
      REDIS_URL: '',
      LOG_LEVEL: 'info',
      // The engine process inherits it and logs the address of its debugger through the API process.
      NODE_OPTIONS: '--inspect=127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const debuggers: Debugger[] = []
  try {
    const { origin, addresses } = await ready(service)
    for (const address of addresses) debuggers.push(await attach(address))
    for (const each of debuggers) {
      await each.send('Profiler.enable')
      await each.send('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    }
    // Taking the counts resets them.
    const take = async () =>
      calledFunctions(
        root,
        await Promise.all(
          debuggers.map(
            (each) =>
              each.send('Profiler.takePreciseCoverage') as Promise<Profiler.TakePreciseCoverageReturnType>,
          ),
        ),
      )
    await take()
    await sleep(IDLE_MS)
    const idle = await take()
    const response = await fetch(`${origin}/solve`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ question: QUESTION, strategy, seed: SEED }),
    })
    const called = await take()
    if (!response.ok)
      throw new Error(`shape: expected an answer, got ${response.status}: ${await response.text()}`)
    return [...called].filter(([key]) => !idle.has(key)).map(([, each]) => each)
  } finally {
    for (const each of debuggers) each.close()
    if (service.exitCode === null) {
      const gone = new Promise((resolve) => service.once('exit', resolve))
      service.kill('SIGTERM')
      await gone
    }
    await rm(folder, { recursive: true, force: true })
  }
}

function calledFunctions(
  root: string,
  taken: readonly Profiler.TakePreciseCoverageReturnType[],
): Map<string, CalledFunction> {
  const base = pathToFileURL(`${root}/`).href
  const called = new Map<string, CalledFunction>()
  for (const { url, functions } of taken.flatMap(({ result }) => result)) {
    if (!url.startsWith(`${base}src/`)) continue
    const path = url.slice(base.length)
    for (const { functionName, ranges } of functions) {
      const range = ranges[0]
      if (!range || range.count === 0) continue
      const name = `${functionName}@${range.startOffset}`
      called.set(`${path} ${name}`, { path, name })
    }
  }
  return called
}

/** Waits until the service listens; its log also holds the addresses of the debuggers. */
async function ready(service: ChildProcess): Promise<{ origin: string; addresses: string[] }> {
  let log = ''
  for (const stream of [service.stdout, service.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  }
  for (const started = Date.now(); Date.now() - started < START_TIMEOUT_MS; await sleep(50)) {
    const origin = /ready: POST (http:[^ ]+)\/solve/.exec(log)?.[1]
    const addresses = [...log.matchAll(/Debugger listening on (ws:[^\s"\\]+)/g)].map(
      ([, address]) => address!,
    )
    if (origin !== undefined && addresses.length >= 2) return { origin, addresses }
    if (service.exitCode !== null) break
  }
  throw new Error(`shape: expected a service with two debuggers, got:\n${log}`)
}

async function attach(address: string): Promise<Debugger> {
  const socket = new WebSocket(address)
  const pending = new Map<number, PromiseWithResolvers<unknown>>()
  let calls = 0
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(data)
    const call = pending.get(id)
    if (error) call?.reject(new Error(`shape: expected a result of the debugger, got ${error.message}`))
    else call?.resolve(result)
    pending.delete(id)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true })
    socket.addEventListener('error', reject, { once: true })
  })
  return {
    send: (method, params = {}) => {
      const call = Promise.withResolvers<unknown>()
      calls += 1
      pending.set(calls, call)
      socket.send(JSON.stringify({ id: calls, method, params }))
      return call.promise
    },
    close: () => socket.close(),
  }
}
