/** @file A Python script in a process of its own, which answers requests over stdin and stdout, one JSON object a line. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

// biome-ignore lint/suspicious/noExplicitAny: the scripts beside the benches define their answers
type Answer = any

export interface PythonProcess {
  readonly pid: number
  /** First line of the script. */
  readonly hello: Answer
  /** @throws Error when the process ends before it answers */
  ask(request: object): Promise<Answer>
  send(line: string): void
  /** Closes stdin and waits for the end of the process. */
  close(): Promise<void>
}

/**
 * Starts a script and waits for its first line.
 * @returns null when `python` cannot be started, or the script ends or reports something `missing` in its first line
 */
export async function startPython(
  python: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<PythonProcess | null> {
  const child = spawn(python, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<Answer> => {
    const line = await Promise.race([lines.next(), ended.then(() => lines.next())])
    return line.done ? null : JSON.parse(line.value)
  }
  await Promise.race([once(child, 'spawn').catch(() => undefined), ended])
  const { pid } = child
  if (pid === undefined) return null
  const hello = await answer()
  if (!hello || hello.missing !== undefined) return null
  return {
    pid,
    hello,
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const answered = await answer()
      if (!answered) throw new Error(`${args[0]}: expected an answer, got the end of the process`)
      return answered
    },
    send: (line) => child.stdin.write(`${line}\n`),
    async close() {
      child.stdin.end()
      await ended
    },
  }
}
