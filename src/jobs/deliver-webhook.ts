/** @file Delivers the outcome of a question to the address that its caller named. */

import { createHmac } from 'node:crypto'
import { lookup } from 'node:dns'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { ServiceError } from '#errors'

const TIMEOUT_MS = 10_000

export interface WebhookSettings {
  /** Key of the signatures: `whsec_` and base64, or any text. */
  readonly secret: string
  /** Whether addresses of loopback and private networks may be called. */
  readonly allowPrivate: boolean
}

interface Delivery {
  readonly url: string
  /** Id of the message, the same at every attempt. */
  readonly id: string
  readonly body: unknown
}

/**
 * Posts a body, signed as Standard Webhooks describes: HMAC-SHA256 over id, time and body. The name is resolved here,
 * and the connection goes to the address that was checked; redirects are not followed.
 *
 * @throws ServiceError WEBHOOK_FAILED unless the answer has a status of 200 to 299
 */
export async function deliverWebhook(
  { url, id, body }: Delivery,
  { secret, allowPrivate }: WebhookSettings,
): Promise<void> {
  const target = new URL(url)
  const literal = target.hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(literal) !== 0 && !allowPrivate && !isPublic(literal)) throw refused(literal)
  const text = JSON.stringify(body)
  const time = String(Math.floor(Date.now() / 1_000))
  const signature = createHmac('sha256', keyOf(secret)).update(`${id}.${time}.${text}`).digest('base64')
  const options = {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'webhook-id': id,
      'webhook-timestamp': time,
      'webhook-signature': `v1,${signature}`,
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    // A connection of its own: a kept one might lead to an address that was not checked.
    agent: false,
    ...(!allowPrivate && { lookup: publicLookup }),
  } as const
  const send = target.protocol === 'https:' ? requestHttps : requestHttp
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const sending = send(target, options, (response) => {
    const { statusCode = 0 } = response
    response.destroy()
    if (statusCode >= 200 && statusCode < 300) resolve()
    else reject(new ServiceError('WEBHOOK_FAILED', `webhook: expected a status of 2xx, got ${statusCode}`))
  })
  sending.on('error', (cause) => {
    const failed = new ServiceError('WEBHOOK_FAILED', `webhook: expected an answer, got ${cause.message}`, {
      cause,
    })
    reject(cause instanceof ServiceError ? cause : failed)
  })
  sending.end(text)
  return promise
}

/** Resolves a name as `dns.lookup` does; fails when any of its addresses is not one of the internet. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '')
    const unwanted = addresses.find(({ address }) => !isPublic(address))
    const [first] = addresses
    if (unwanted !== undefined) callback(refused(unwanted.address), '')
    else if (first === undefined) callback(new Error(`no address of ${hostname}`), '')
    else if (options.all) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}

/** Whether an address is one of the internet: neither loopback, private, link-local nor reserved. */
export function isPublic(address: string): boolean {
  return ipaddr.process(address).range() === 'unicast'
}

function refused(address: string): ServiceError {
  return new ServiceError('WEBHOOK_FAILED', `webhook: expected an address of the internet, got ${address}`)
}

function keyOf(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
}
