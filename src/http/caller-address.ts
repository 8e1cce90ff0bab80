/** @file The address of a caller, and the key by which callers share the engine. */

import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

type Addresses = Pick<FastifyRequest, 'ip'> & {
  readonly socket: { readonly remoteAddress?: string | undefined }
}

/**
 * Returns the IP address of the caller. A trusted proxy may have written it with a port, as some do, and IPv4 in
 * the notation of IPv6. A text that is no address, such as `unknown`, counts as the address of the proxy.
 */
export function callerAddress({ ip, socket }: Addresses): string {
  const withoutPort = /^\[([^\]]*)\](?::\d+)?$/.exec(ip)?.[1] ?? /^([\d.]+):\d+$/.exec(ip)?.[1] ?? ip
  const address = isIP(withoutPort) === 0 ? (socket.remoteAddress ?? '') : withoutPort
  return address.replace(/^::ffff:(?=[\d.]+$)/i, '')
}

/**
 * Returns the key by which fairness tells callers apart: the address, or the first 64 bits of an IPv6 address,
 * because one host or site has all the others and could take a new one for each request.
 */
export function callerKey(request: Addresses): string {
  const address = callerAddress(request)
  if (isIP(address) !== 6) return address
  const [left = [], right = []] = address.split('::').map((part) => part.split(':').filter(Boolean))
  // An IPv4 address at the end stands for two groups.
  const missing = 8 - left.length - right.length - (address.includes('.') ? 1 : 0)
  const groups = [...left, ...Array(missing).fill('0'), ...right]
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${prefix.join(':')}::/64`
}
