/** @file API keys from outside: `circadian keys` and the service on the same data. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { circadian } from '../support/circadian-command.ts'
import { type ServiceProcess, startService, temporaryFolder } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const QUESTION = 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?'
const FILE_KEY = 'a-key-of-the-operator-of-48-characters-made-elsewhere'

const as = async ({ origin }: ServiceProcess, key: string | null, path: string, body?: object) => {
  const response = await fetch(`${origin}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(key !== null && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test('a key of the command opens the service for its tenant; no key opens nothing', async () => {
  await using folder = await temporaryFolder()
  const created = await circadian([
    'keys',
    'create',
    '--tenant',
    'acme',
    '--scopes',
    'solve',
    '--rate',
    '60/min',
    '--tokens',
    '1M/day',
    '--data-dir',
    folder.path,
  ])
  expect(created).toMatchObject({ code: 0, stderr: expect.stringMatching(/of the tenant acme with solve/) })
  const key = created.stdout.trim()
  const other = JSON.parse(
    (
      await circadian([
        ...[
          'keys',
          'create',
          '--tenant',
          'other',
          '--scopes',
          'solve, admin',
          '--data-dir',
          folder.path,
          '--json',
        ],
      ])
    ).stdout,
  )
  expect(other).toMatchObject({ tenantId: 'other', scopes: ['solve', 'admin'], revokedAt: null })
  const path = join(folder.path, 'keys.json')
  const entry = { key: FILE_KEY, name: 'probe', tenant: 'acme', scopes: ['metrics', 'feedback'], rate: '2/h' }
  await writeFile(path, JSON.stringify([entry]))

  {
    await using service = await startService({ DATA_DIR: folder.path, API_KEYS_FILE: path, HOST: '0.0.0.0' })
    expect((await as(service, null, '/solve', { question: QUESTION })).status).toBe(401)
    const solved = await as(service, key, '/solve', { question: QUESTION })
    expect(solved.status, solved.text).toBe(200)
    expect(solved.headers.get('ratelimit')).toMatch(/^"requests";r=59;t=60, "tokens";r=1000000;t=86400$/)
    const { episodeId } = JSON.parse(solved.text)
    expect((await as(service, key, `/episodes/${episodeId}`)).status).toBe(200)
    expect((await as(service, other.key, `/episodes/${episodeId}`)).status).toBe(404)
    expect((await as(service, key, '/admin/artifacts')).status).toBe(403)
    expect((await as(service, other.key, '/admin/artifacts')).status).toBe(200)
    expect((await as(service, FILE_KEY, '/metrics')).status).toBe(200)
    expect((await as(service, FILE_KEY, `/episodes/${episodeId}/feedback`, { correct: true })).status).toBe(
      200,
    )
    expect(service.output()).not.toContain(key)
    expect(service.output()).not.toContain(FILE_KEY)
    await service.kill('SIGTERM')
  }

  const revoked = await circadian(['keys', 'revoke', other.id, '--data-dir', folder.path])
  expect(revoked).toMatchObject({ code: 0, stdout: expect.stringContaining(`revoked: ${other.id} (other)`) })
  const { stdout } = await circadian(['keys', 'list', '--data-dir', folder.path])
  expect(stdout).toMatch(/acme +acme +solve +60\/min, 1M\/day tokens +\S+ +valid\n/)
  expect(stdout).toMatch(/other +other +solve,admin +none +\S+ +revoked \S+\n/)
  expect(stdout).toMatch(/probe +acme +feedback,metrics +2\/h +\S+ +valid \(file\)\n/)

  // Without the file the keys of the command are left; loopback needs one, too.
  await using service = await startService({ DATA_DIR: folder.path })
  expect((await as(service, null, '/episodes')).status).toBe(401)
  expect((await as(service, other.key, '/episodes')).status).toBe(401)
  expect((await as(service, key, '/episodes')).status).toBe(200)
}, 120_000)

test.each([
  [['create', '--tenant', 'a b', '--scopes', 'solve'], 78, /CONFIG_INVALID: keys create: expected a tenant/],
  [['create', '--tenant', 'acme', '--scopes', ''], 78, /expected scopes of solve.*got ""/],
  [['create', '--tenant', 'acme'], 2, /required option '--scopes/],
  [['revoke', '00000000-0000-4000-8000-000000000000'], 1, /KEY_NOT_FOUND/],
] as const)(
  'circadian keys %j ends with %i',
  async (args, code, message) => {
    await using folder = await dataFolder()
    const result = await circadian(['keys', ...args, '--data-dir', folder.path])
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) })
  },
  60_000,
)
