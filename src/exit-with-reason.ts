/** @file Ends a process that cannot start, with a one-line reason. */

import { coerceError, hasCode } from '#errors'
import { withoutUserInfo } from './logger.ts'

/**
 * EX_CONFIG of sysexits.h. Lets supervisors distinguish a configuration error from an error worth a restart.
 */
const EXIT_CONFIG = 78

/** Ends the process with one line on stderr and an exit code above 0. Open parts are not closed. */
export function exitWithReason(thrown: unknown): never {
  const error = coerceError(thrown)
  const code = 'code' in error ? `${error.code}: ` : ''
  // An error without a code is a bug: its stack is printed instead.
  const text = code === '' ? (error.stack ?? error.message) : error.message
  // Not by the console, which may be routed to the logger.
  process.stderr.write(withoutUserInfo(`circadian: ${code}${text}\n`))
  process.exit(hasCode(error, 'CONFIG_INVALID') ? EXIT_CONFIG : 1)
}
