/** @file How a process that cannot start says so. */

import { coerceError, hasCode } from '#errors'
import { withoutUserInfo } from './logger.ts'

/** sysexits.h: EX_CONFIG. Supervisors may tell "fix the settings" from "try again". */
const EXIT_CONFIG = 78

/** Ends the process with one line on stderr and an exit code above 0. Open parts end with the process. */
export function exitWithReason(thrown: unknown): never {
  const error = coerceError(thrown)
  const code = 'code' in error ? `${error.code}: ` : ''
  // An error without a code of ours is a bug: its stack is the clear line.
  const text = code === '' ? (error.stack ?? error.message) : error.message
  console.error(withoutUserInfo(`circadian: ${code}${text}`))
  process.exit(hasCode(error, 'CONFIG_INVALID') ? EXIT_CONFIG : 1)
}
