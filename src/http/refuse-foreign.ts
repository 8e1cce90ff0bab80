/** @file Refuses requests that a web page of another site makes: by `Host`, `Sec-Fetch-Site` and `Origin`. */

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ServiceError } from '#errors'
import { hostOf, type OwnHosts, ownHosts } from './host-names.ts'
import { shorten } from './shorten.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** Values of `Sec-Fetch-Site` in requests that the user or a page of this server makes. */
const OWN_SITE: ReadonlySet<unknown> = new Set([undefined, 'same-origin', 'none'])

/**
 * Refuses a `Host` that does not mean this server (DNS rebinding), and unsafe methods from pages of other
 * origins (cross-site request forgery). Clients that are not browsers send neither `Origin` nor
 * `Sec-Fetch-Site`.
 *
 * @param origins origins of other sites whose pages may call the API
 */
export function refuseForeignRequests(
  app: FastifyInstance,
  hosts: OwnHosts,
  origins: readonly string[],
): void {
  const isOwnHost = ownHosts(hosts)
  const allowed = new Set(origins)
  const names = new Set(hosts.allowedHosts)
  app.addHook('onRequest', async (request) => {
    const host = hostHeaderOf(request)
    for (const each of [host, targetHostOf(request)]) if (each !== null) refuseForeignHost(each, isOwnHost)
    const { origin = '' } = request.headers
    if (!SAFE_METHODS.has(request.method) && !allowed.has(origin)) refuseForeignPage(request, host, names)
  })
}

/** Returns the only `Host` header; null for a request with HTTP/1.0 that has none. */
function hostHeaderOf({ raw }: FastifyRequest): string | null {
  const { host = null } = raw.headers
  // Node keeps the first of several in `headers`.
  const count = raw.rawHeaders.filter((name, index) => index % 2 === 0 && /^host$/i.test(name)).length
  if (count > 1) throw invalidHost('one Host header, got several')
  if (host === null && raw.httpVersion !== '1.0') throw invalidHost('a Host header, got none')
  return host
}

/** Returns the host in a target such as `http://host/path`, which stands above `Host`; null for a mere path. */
function targetHostOf({ raw: { url = '/' } }: FastifyRequest): string | null {
  return url.startsWith('/') ? null : (URL.parse(url)?.host ?? null)
}

function refuseForeignHost(host: string, isOwnHost: (name: string) => boolean): void {
  const name = hostOf(host)
  if (name === null) throw invalidHost(`a name or an address, got ${shorten(host)}`)
  if (isOwnHost(name)) return
  throw new ServiceError(
    'HOST_NOT_ALLOWED',
    `host: expected an address of this server or a name in ALLOWED_HOSTS, got ${shorten(host)}`,
  )
}

function invalidHost(expectation: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `host: expected ${expectation}`)
}

function refuseForeignPage(
  { headers }: FastifyRequest,
  host: string | null,
  names: ReadonlySet<string>,
): void {
  const site = headers['sec-fetch-site']
  if (!OWN_SITE.has(site)) {
    throw new ServiceError(
      'ORIGIN_NOT_ALLOWED',
      `sec-fetch-site: expected same-origin or none, got ${shorten(String(site))}`,
    )
  }
  const { origin } = headers
  if (origin === undefined || isOwnOrigin(origin, host, names)) return
  throw new ServiceError(
    'ORIGIN_NOT_ALLOWED',
    `origin: expected the origin of this server, of a name in ALLOWED_HOSTS or of CORS_ORIGINS, got ${shorten(origin)}`,
  )
}

/**
 * True if the origin equals `Host`, port included: another port of this machine is another site. The origin
 * of a name in ALLOWED_HOSTS may have any port, because a proxy in front of the server may replace `Host`.
 */
function isOwnOrigin(origin: string, host: string | null, names: ReadonlySet<string>): boolean {
  const url = URL.parse(origin)
  if (url === null || url.host === '') return false
  if (names.has(url.hostname)) return true
  return host !== null && URL.parse(`${url.protocol}//${host}`)?.host === url.host
}
