/** @file Programs of ours, started to be killed. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Child {
  readonly process: ChildProcess
  /** Complete lines of its standard output so far. */
  readonly lines: readonly string[]
  /** Resolves with the first line that contains `text`. Rejects, with what it printed, when it ends before. */
  line(text: string): Promise<string>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

/** Runs a TypeScript file of the repository with this Node. */
export function startProgram(
  file: string,
  { env = {}, args = [] }: { env?: Readonly<Record<string, string>>; args?: readonly string[] } = {},
): Child {
  return startCommand(process.execPath, [file, ...args], env)
}

export function startCommand(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Child {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const errors: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    child.emit('lines')
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => errors.push(chunk))
  const exited = once(child, 'exit')

  return {
    process: child,
    lines,
    line: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => line.includes(text))
          if (found !== undefined) resolve(found)
        }
        child.on('lines', look)
        child.once('exit', (code, signal) =>
          reject(
            new Error(
              `${command}: expected a line with "${text}", got ${signal ?? code}: ${errors.join('')}${lines.join('\n')}`,
            ),
          ),
        )
        look()
      }),
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}
