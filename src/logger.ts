/** @file How the processes log: JSON lines for machines, colours for a person at a terminal, never a secret. */

import type { LoggerOptions } from 'pino'

export interface LoggerSettings {
  readonly level: string
  /** For people: pass `process.stdout.isTTY`, not a guess about the environment. */
  readonly pretty: boolean
}

/** Keys that hold a secret wherever they stand at the top or one level down in what is logged. */
const SECRET_KEYS = ['DATABASE_URL', 'REDIS_URL', 'connectionString', 'password', 'authorization', 'cookie']

/**
 * Options for `pino()`. Secrets are kept out twice: known keys are censored, and user information in any URL of any
 * line (a driver's error message, a stack) is blotted out.
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

/** `scheme://user:password@host` becomes `scheme://***@host`, everywhere in `line`. */
export function withoutUserInfo(line: string): string {
  return line.replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s"'/<>]*@/gi, '$1***@')
}
