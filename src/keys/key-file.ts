/** @file Reads the keys of `API_KEYS_FILE`, which an operator has made elsewhere, such as a mounted secret. */

import { readFile } from 'node:fs/promises'
import { coerceError, ServiceError } from '#errors'
import type { FileKey } from './key-store.ts'
import { checkPurpose } from './scopes.ts'

/** Characters of a bearer token (RFC 6750, section 2.1). 32 hold 160 bits or more of a random key. */
const KEY = /^[0-9A-Za-z._~+/-]{32,256}=*$/

/**
 * Reads a JSON list of keys: `[{"key": "...", "name": "ci", "tenant": "acme", "scopes": ["solve"]}]`. `rate`
 * and `tokens` are optional limits, such as `60/min` and `1M/day`.
 *
 * @throws ServiceError CONFIG_INVALID; the message names the entry and holds no key
 */
export async function readKeyFile(path: string): Promise<readonly FileKey[]> {
  const entries = await readList(path)
  const keys = entries.map((entry, index) => {
    const where = `API_KEYS_FILE: entry ${index + 1}`
    const { key, name, tenant, scopes, rate, tokens, ...others } = { ...(entry as Record<string, unknown>) }
    const [other] = Object.keys(others)
    if (other !== undefined)
      throw new ServiceError(
        'CONFIG_INVALID',
        `${where}: expected key, name, tenant, scopes, rate, tokens, got ${other}`,
      )
    if (typeof key !== 'string' || !KEY.test(key))
      throw new ServiceError(
        'CONFIG_INVALID',
        `${where}: expected a key of 32 to 256 letters, digits and ._~+/-`,
      )
    return { key, ...checkPurpose(where, { name, tenant, scopes, rate, tokens }) }
  })
  if (new Set(keys.map(({ key }) => key)).size < keys.length)
    throw new ServiceError('CONFIG_INVALID', 'API_KEYS_FILE: expected different keys, got one of them twice')
  return keys
}

async function readList(path: string): Promise<readonly unknown[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (thrown) {
    const cause = coerceError(thrown)
    throw new ServiceError(
      'CONFIG_INVALID',
      `API_KEYS_FILE: expected a readable file, got ${cause.message}`,
      {
        cause,
      },
    )
  }
  let list: unknown
  try {
    list = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    // The message of JSON.parse would quote the text, and so a key.
    throw new ServiceError('CONFIG_INVALID', 'API_KEYS_FILE: expected JSON, got a text that is not')
  }
  if (!Array.isArray(list))
    throw new ServiceError('CONFIG_INVALID', 'API_KEYS_FILE: expected a list, got another value')
  return list
}
