/** @file The parts that backup and restore share: the argument, the programs, and the connection. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ServiceError } from '#errors'

/**
 * Runs a program with its output on this process's stderr, and resolves with its stdout when it ends with 0.
 *
 * @throws ServiceError CONFIG_INVALID when the program is not installed; STORE_UNAVAILABLE for any other end
 */
export async function runTool(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  try {
    const [code, signal] = await once(child, 'close')
    if (code !== 0)
      throw new ServiceError('STORE_UNAVAILABLE', `${program}: expected exit code 0, got ${signal ?? code}`)
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') {
      throw new ServiceError(
        'CONFIG_INVALID',
        `${program}: expected the program on PATH, got none; install the client tools`,
      )
    }
    throw thrown
  }
  return output
}

/**
 * Returns the URL without its password, and the password as the variable that libpq reads. Command lines are
 * visible to every user of the machine; the environment is not.
 */
export function connectionOf(url: string): { readonly url: string; readonly env: Record<string, string> } {
  const [, before, password] = /^(postgres(?:ql)?:\/\/[^:@/?#]*):([^@/?#]*)@/.exec(url) ?? []
  if (before === undefined || password === undefined) return { url, env: {} }
  return {
    url: before + url.slice(before.length + 1 + password.length),
    env: { PGPASSWORD: decodeURIComponent(password) },
  }
}

/**
 * Returns the only argument of the command `name`.
 *
 * @throws ServiceError CONFIG_INVALID when there is none, or more than one
 */
export function fileArgument(name: string): string {
  const [file, ...more] = process.argv.slice(2)
  if (file === undefined || more.length > 0) {
    throw new ServiceError(
      'CONFIG_INVALID',
      `${name}: expected one argument, got ${process.argv.length - 2}: npm run ${name} -- FILE`,
    )
  }
  return file
}
