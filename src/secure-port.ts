/** @file What the API process needs of the database before its port is safe: the keys of the file, and whether there are keys. */

import { setTimeout } from 'node:timers/promises'
import { hasCode } from '#errors'
import type { createKeyStore, readKeyFile } from '#keys'
import { checkListenHost } from './listen.ts'

const FIRST_PAUSE_MS = 500
const MAX_PAUSE_MS = 5_000

export interface SecurePortOptions {
  readonly keys: Pick<ReturnType<typeof createKeyStore>, 'syncFile' | 'find'>
  /** Keys of `API_KEYS_FILE`; null: there is no file. */
  readonly fileKeys: Awaited<ReturnType<typeof readKeyFile>> | null
  readonly listenOn: Parameters<typeof checkListenHost>[0]
  readonly logger: Parameters<typeof checkListenHost>[2]
  /** Returns whether the process ends: then there is nothing left to wait for. */
  readonly isClosing: () => boolean
  readonly pause?: (ms: number) => Promise<unknown>
}

/**
 * Makes the keys of the file valid and checks that no port is open to the network without a key. Waits, and tries
 * again, while the database does not answer: it may go away again at any moment after the start.
 *
 * @throws ServiceError CONFIG_INVALID
 */
export async function securePort({
  keys,
  fileKeys,
  listenOn,
  logger,
  isClosing,
  pause = (ms) => setTimeout(ms, undefined, { ref: false }),
}: SecurePortOptions): Promise<void> {
  let hasLogged = false
  for (let pauseMs = FIRST_PAUSE_MS; !isClosing(); pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      if (fileKeys !== null) await keys.syncFile(fileKeys)
      const { anyKeys } = await keys.find(null)
      return checkListenHost(listenOn, anyKeys, logger)
    } catch (thrown) {
      if (!hasCode(thrown, 'STORE_UNAVAILABLE')) throw thrown
      if (!hasLogged) logger.warn({ err: thrown }, 'API keys not read: trying again')
      hasLogged = true
    }
    await pause(pauseMs)
  }
}
