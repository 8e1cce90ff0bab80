/** @file Options of the logger: JSON lines, or colours on a terminal; secrets are removed. */

import type { LoggerOptions } from 'pino'

export interface LoggerSettings {
  readonly level: string
  /** Whether to format lines for a terminal. Callers pass `process.stdout.isTTY`. */
  readonly pretty: boolean
}

/** Keys whose values are secret at the first three levels of a logged object. */
const SECRET_KEYS = ['DATABASE_URL', 'REDIS_URL', 'connectionString', 'password', 'authorization', 'cookie']

/**
 * Returns the options for `pino()`. Removes secrets in two ways: censors known keys, and replaces the user
 * information in every URL of every line, such as a driver's error message or a stack.
 */
export function loggerOptions({ level, pretty }: LoggerSettings): LoggerOptions {
  return {
    level,
    redact: {
      paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[redacted]',
    },
    hooks: { streamWrite: withoutUserInfo },
    ...(pretty
      ? {
          transport: {
            target: 'pino-pretty',
            options: { translateTime: 'HH:MM:ss', ignore: 'pid,hostname' },
          },
        }
      : {}),
  }
}

/**
 * Replaces every `scheme://user:password@host` in `line` by `scheme://***@host`. The pattern begins at `://`
 * and not at the scheme: callers write into the log, and a search for schemes takes quadratic time in texts
 * such as `a.a.a.a`.
 */
export function withoutUserInfo(line: string): string {
  return line.replace(/:\/\/[^\s"'/<>]*@/g, '://***@')
}
