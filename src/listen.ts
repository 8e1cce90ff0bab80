/** @file Starts listening and converts address errors into ServiceErrors. */

import { coerceError, ServiceError } from '#errors'
import { type buildApp, isLoopback } from '#http'

/**
 * Refuses to open a port to the network without a key, unless the operator allows it, and warns if so.
 *
 * @param hasKeys whether any API key was ever created
 * @throws ServiceError CONFIG_INVALID
 */
export function checkListenHost(
  { host, allowAnonymous }: { readonly host: string; readonly allowAnonymous: boolean },
  hasKeys: boolean,
  logger: { warn(details: object, message: string): void },
): void {
  if (isLoopback(host) || hasKeys) return
  if (!allowAnonymous) {
    throw new ServiceError(
      'CONFIG_INVALID',
      `HOST: expected a loopback address, got ${host}, where whoever reaches the port needs no key. Create a key with \`npx circadian keys create\`, or set ALLOW_ANONYMOUS=true if only trusted callers or an authenticating proxy can reach it`,
    )
  }
  logger.warn({ host }, 'ALLOW_ANONYMOUS=true: whoever reaches this address needs no key, for /admin neither')
}

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
    // For `localhost`, fastify would open a second server for ::1, without the limit on connections.
    return await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port })
  } catch (thrown) {
    throw listenError(thrown, { host, port, variable: 'PORT' })
  }
}

/**
 * Converts the error of a server that could not listen.
 *
 * @param variable setting of the port, for the message
 * @returns ServiceError PORT_TAKEN; CONFIG_INVALID if the address does not belong to this machine.
 */
export function listenError(
  thrown: unknown,
  { host, port, variable }: { readonly host: string; readonly port: number; readonly variable: string },
): ServiceError {
  const cause = coerceError(thrown)
  const where = `listen on ${host}:${port}`
  if ('code' in cause && cause.code === 'EADDRINUSE') {
    return new ServiceError('PORT_TAKEN', `${where}: expected a free port, got one in use; set ${variable}`, {
      cause,
    })
  }
  return new ServiceError(
    'CONFIG_INVALID',
    `${where}: expected an address of this machine, got ${cause.message}; set HOST and ${variable}`,
    { cause },
  )
}
