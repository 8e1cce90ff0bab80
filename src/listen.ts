/** @file Starts listening and converts address errors into ServiceErrors. */

import { coerceError, ServiceError } from '#errors'
import type { buildApp } from '#http'

/**
 * Starts listening.
 *
 * @returns URL of the server.
 * @throws ServiceError PORT_TAKEN; CONFIG_INVALID if the address does not belong to this machine.
 */
export async function listen(
  app: ReturnType<typeof buildApp>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (thrown) {
    const cause = coerceError(thrown)
    const errno = 'code' in cause ? cause.code : null
    const where = `listen on ${host}:${port}`
    if (errno === 'EADDRINUSE') {
      throw new ServiceError('PORT_TAKEN', `${where}: expected a free port, got one in use; set PORT`, {
        cause,
      })
    }
    throw new ServiceError(
      'CONFIG_INVALID',
      `${where}: expected an address of this machine, got ${cause.message}; set HOST and PORT`,
      { cause },
    )
  }
}
