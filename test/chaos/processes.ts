/** @file Processes that chaos hurts: started, signalled, started again, and found by a mark in their environment. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { childrenOf } from '../support/service-process.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Variable that every process of a run carries; children inherit it. */
export const MARK = 'CIRCADIAN_CHAOS'

export interface Part {
  readonly name: string
  /** Process that does the work; for PostgreSQL it is not the one that was spawned. */
  pid(): Promise<number>
  /** Ends of the process that nobody asked for: time in ms since the start of the run, and code or signal. */
  readonly unexpectedEnds: string[]
  readonly lines: readonly string[]
  /** Starts it; resolves when it runs, not when it is ready. */
  start(): void
  /** Sends a signal to the process and, for a frozen part, to its children. */
  signal(signal: NodeJS.Signals, options?: { readonly children?: boolean }): Promise<void>
  /** Sends the signal and resolves with exit code or signal when the process has ended. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
  running(): boolean
}

interface PartOptions {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  /** Reads the id of the process that does the work; the spawned one unless given. */
  readonly pid?: () => Promise<number>
}

export function createPart({ name, command, env, pid }: PartOptions): Part {
  const lines: string[] = []
  const unexpectedEnds: string[] = []
  let child: ChildProcess | undefined
  let expected = false
  const worker = async () => (pid === undefined ? child!.pid! : await pid())

  function start(): void {
    const [program, ...args] = command
    const started = spawn(program, args, {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    expected = false
    for (const stream of [started.stdout, started.stderr]) {
      let rest = ''
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        const parts = (rest + chunk).split('\n')
        rest = parts.pop() ?? ''
        lines.push(...parts)
      })
    }
    started.once('exit', (code, signal) => {
      if (!expected) unexpectedEnds.push(`${name} ended by itself with ${signal ?? code}`)
    })
  }

  return {
    name,
    lines,
    unexpectedEnds,
    start,
    pid: worker,
    running: () => child !== undefined && child.exitCode === null && child.signalCode === null,
    async signal(signal, { children = false } = {}) {
      const main = await worker()
      send(main, signal)
      if (children) for (const each of await childrenOf(main)) send(each, signal)
    },
    async end(signal) {
      const ended = child!
      if (ended.exitCode === null && ended.signalCode === null) {
        expected = true
        const exited = once(ended, 'exit')
        send(await worker(), signal)
        await exited
      }
      return ended.exitCode ?? ended.signalCode
    },
  }
}

/** Sends a signal; a process that has ended meanwhile is no error. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Returns id and command of each living process with the mark of this run. */
export async function markedProcesses(mark: string): Promise<{ pid: number; command: string }[]> {
  const found = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '')
    if (!environment.split('\0').includes(`${MARK}=${mark}`)) continue
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    found.push({ pid: Number(name), command: command.replaceAll('\0', ' ').trim() })
  }
  return found
}

/** Returns the children of a process that run the model. */
export async function enginesOf(parent: number): Promise<number[]> {
  const engines = []
  for (const pid of await childrenOf(parent)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.startsWith('circadian engine')) engines.push(pid)
  }
  return engines
}
