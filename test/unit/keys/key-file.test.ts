import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readKeyFile } from '#keys'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keys-'))
})
afterAll(() => rm(folder, { recursive: true }))

const KEY = 'Zm9ydHktdHdvLXJhbmRvbS1ieXRlcy1pbi1iYXNlNjQ='
const entry = { key: KEY, name: 'ci', tenant: 'acme', scopes: ['feedback', 'solve'] }

async function read(content: unknown) {
  const path = join(folder, 'keys.json')
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return readKeyFile(path)
}

test('reads keys with what they are for, also with a byte order mark', async () => {
  const purpose = { name: 'ci', tenantId: 'acme', scopes: ['solve', 'feedback'] }
  const expected = [{ key: KEY, ...purpose, rate: null, tokens: null }]
  expect(await read([entry])).toEqual(expected)
  expect(await read(`\uFEFF${JSON.stringify([entry])}\r\n`)).toEqual(expected)
  expect(await read([])).toEqual([])
  expect(await read([{ ...entry, rate: '60/min', tokens: '1M/day' }])).toMatchObject([
    { rate: { amount: 60, seconds: 60 }, tokens: { amount: 1_000_000, seconds: 86_400 } },
  ])
})

test.each<[string, unknown, RegExp]>([
  ['no JSON', `[{"key": "${KEY}"`, /expected JSON/],
  ['no list', { keys: [] }, /expected a list/],
  ['a short key', [entry, { ...entry, key: 'short' }], /entry 2: expected a key of 32 to 256/],
  ['a key with spaces', [{ ...entry, key: `${KEY} ${KEY}` }], /entry 1: expected a key/],
  ['no tenant', [{ ...entry, tenant: undefined }], /entry 1: expected a tenant/],
  ['a tenant with a slash', [{ ...entry, tenant: 'a/b' }], /entry 1: expected a tenant/],
  ['no scopes', [{ ...entry, scopes: [] }], /entry 1: expected scopes of solve, .*, got none/],
  ['an unknown scope', [{ ...entry, scopes: ['root'] }], /got "root"/],
  ['an empty name', [{ ...entry, name: ' ' }], /entry 1: expected a name/],
  ['a limit without a time', [{ ...entry, rate: '60' }], /entry 1: rate: expected an amount .*got "60"/],
  [
    'a name of two lines',
    [{ ...entry, name: 'ci\nvalid' }],
    /entry 1: expected a name .*without control char/,
  ],
  ['a name that moves the cursor', [{ ...entry, name: 'ci\u001b[2J' }], /entry 1: expected a name/],
  ['a name written backwards', [{ ...entry, name: 'ci\u202eab' }], /entry 1: expected a name/],
  ['half a character', [{ ...entry, name: 'ci\ud800' }], /entry 1: expected a name/],
  ['another field', [{ ...entry, tenantId: 'acme' }], /got tenantId/],
  ['an entry that is no object', ['key'], /entry 1/],
  ['a key twice', [entry, { ...entry, tenant: 'other' }], /one of them twice/],
])('refuses %s, and does not quote keys', async (_name, content, message) => {
  const error = await read(content).catch((thrown) => thrown)
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) })
  expect(error.message).toMatch(/^API_KEYS_FILE: /)
  expect(error.message).not.toContain(KEY)
})

test('refuses a file that is not there', async () => {
  await expect(readKeyFile(join(folder, 'absent.json'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/^API_KEYS_FILE: expected a readable file, got ENOENT/),
  })
})
