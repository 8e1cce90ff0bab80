/** @file Reads host names and decides which of them mean this server. */

import { BlockList, isIP } from 'node:net'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** True for an address of the loopback interface and for `localhost`. Other names are not resolved. */
export function isLoopback(host: string): boolean {
  const version = isIP(host)
  return version === 0 ? host === 'localhost' : LOOPBACK.check(host, version === 6 ? 'ipv6' : 'ipv4')
}

/**
 * Returns the name or address in `authority` (`host` or `host:port`), in lower case and without the brackets
 * of IPv6; null if it is not an authority.
 */
export function hostOf(authority: string): string | null {
  const url = URL.parse(`http://${authority}`)
  if (url === null || url.username !== '' || url.password !== '') return null
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || authority.endsWith('/')) return null
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : withoutFinalDot(url.hostname)
}

function withoutFinalDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

export interface OwnHosts {
  /** Address that the server listens on. */
  readonly listenHost: string
  /** Further names of this server, in lower case. */
  readonly allowedHosts: readonly string[]
}

/**
 * Returns a function that is true for the hosts that mean this server. DNS rebinding, in which a web page
 * lets its own name resolve to the address of this server, needs a name: on an address other than loopback,
 * every IP address is accepted, because probes and callers use those of the machine.
 */
export function ownHosts({ listenHost, allowedHosts }: OwnHosts): (host: string) => boolean {
  const names = new Set([listenHost, ...allowedHosts])
  const anyAddress = !isLoopback(listenHost)
  return (host) => isLoopback(host) || names.has(host) || (anyAddress && isIP(host) !== 0)
}
