import { expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { createAuthenticator, type Scope } from '#keys'
import { hashKey } from '../../../src/keys/key-store.ts'

interface World {
  readonly keys: Map<string, { id: string; tenantId: string; scopes: readonly Scope[] }>
  anyKeys: boolean
  down: boolean
  finds: number
  now: number
}

function world(over: Partial<World> = {}): World {
  return { keys: new Map(), anyKeys: true, down: false, finds: 0, now: 0, ...over }
}

function authenticatorOf(world: World, allowAnonymous = true) {
  return createAuthenticator({
    allowAnonymous,
    clock: () => world.now,
    store: {
      async find(hash) {
        world.finds += 1
        if (world.down) throw new ServiceError('STORE_UNAVAILABLE', 'find key: down')
        const found = hash === null ? undefined : world.keys.get(hash.toString('hex'))
        return {
          found: found === undefined ? null : { ...found, rate: null, tokens: null },
          anyKeys: world.anyKeys,
        }
      },
    },
  })
}

const give = (world: World, key: string, scopes: readonly Scope[] = ['solve']) =>
  world.keys.set(hashKey(key).toString('hex'), { id: `id of ${key}`, tenantId: 'acme', scopes })

const invalid = expect.objectContaining({ code: 'KEY_INVALID' })
const unavailable = expect.objectContaining({ code: 'STORE_UNAVAILABLE' })

test('a key gives its tenant and scopes; a scope that it lacks is named', async () => {
  const keys = world()
  give(keys, 'secret', ['solve', 'feedback'])
  const authenticate = authenticatorOf(keys)
  expect(await authenticate('secret', 'feedback')).toEqual({
    keyId: 'id of secret',
    tenantId: 'acme',
    scopes: ['solve', 'feedback'],
    limits: { rate: null, tokens: null },
  })
  await expect(authenticate('secret', 'admin')).rejects.toMatchObject({
    code: 'SCOPE_MISSING',
    message: 'api key: expected the scope admin, got solve, feedback',
  })
  await expect(authenticate('Secret', 'solve')).rejects.toEqual(invalid)
  await expect(authenticate('', 'solve')).rejects.toEqual(invalid)
  await expect(authenticate(null, 'solve')).rejects.toEqual(invalid)
})

test('errors never hold the key', async () => {
  const error = await authenticatorOf(world())('my-own-key', 'solve').catch((thrown) => thrown)
  expect(`${error.message} ${error.stack}`).not.toContain('my-own-key')
})

test('callers need no key until the first exists, and then at once or within five seconds', async () => {
  const keys = world({ anyKeys: false })
  const authenticate = authenticatorOf(keys)
  const anybody = {
    keyId: null,
    tenantId: 'default',
    scopes: expect.arrayContaining(['admin']),
    limits: { rate: null, tokens: null },
  }
  expect(await authenticate(null, 'admin')).toEqual(anybody)
  // Clients that always send a key work without configuration.
  expect(await authenticate('sk-anything', 'solve')).toEqual(anybody)
  keys.anyKeys = true
  keys.now += 5_000
  await expect(authenticate(null, 'solve')).rejects.toEqual(invalid)
  await expect(authenticate('sk-anything', 'solve')).rejects.toEqual(invalid)
})

test('where no anonymous callers are allowed, a key is needed before the first exists', async () => {
  const authenticate = authenticatorOf(world({ anyKeys: false }), false)
  await expect(authenticate(null, 'solve')).rejects.toEqual(invalid)
})

test('asks the store once in four seconds for a key; a revocation is seen within five', async () => {
  const keys = world()
  give(keys, 'secret')
  const authenticate = authenticatorOf(keys)
  await Promise.all(Array.from({ length: 20 }, () => authenticate('secret', 'solve')))
  keys.now += 3_999
  await authenticate('secret', 'solve')
  expect(keys.finds).toBe(1)
  keys.keys.clear()
  await authenticate('secret', 'solve')
  keys.now += 1
  await expect(authenticate('secret', 'solve')).rejects.toEqual(invalid)
  expect(keys.finds).toBe(2)
})

test('while the database is away, known keys are valid for ten minutes, and others are not', async () => {
  const keys = world()
  give(keys, 'secret')
  const authenticate = authenticatorOf(keys)
  await authenticate('secret', 'solve')
  keys.down = true
  for (const now of [5_000, 300_000, 599_999]) {
    keys.now = now
    expect(await authenticate('secret', 'solve')).toMatchObject({ tenantId: 'acme' })
  }
  await expect(authenticate('other', 'solve')).rejects.toEqual(unavailable)
  await expect(authenticate(null, 'solve')).rejects.toEqual(unavailable)
  keys.now = 600_000
  await expect(authenticate('secret', 'solve')).rejects.toEqual(unavailable)
  keys.down = false
  expect(await authenticate('secret', 'solve')).toMatchObject({ tenantId: 'acme' })
})

test('before the database has answered, callers without a key may solve and read metrics only', async () => {
  const keys = world({ down: true })
  const authenticate = authenticatorOf(keys)
  expect(await authenticate(null, 'solve')).toMatchObject({ keyId: null, tenantId: 'default' })
  await authenticate(null, 'metrics')
  for (const scope of ['feedback', 'delete', 'admin'] as const)
    await expect(authenticate(null, scope)).rejects.toEqual(unavailable)
  await expect(authenticatorOf(keys, false)(null, 'solve')).rejects.toEqual(unavailable)
  // A key may be that of another tenant than the anonymous one.
  await expect(authenticate('secret', 'solve')).rejects.toEqual(unavailable)
  keys.down = false
  await expect(authenticate(null, 'solve')).rejects.toEqual(invalid)
})

test('forgets the oldest look-ups: invented keys do not fill the memory', async () => {
  const keys = world()
  give(keys, 'secret')
  const authenticate = authenticatorOf(keys)
  await authenticate('secret', 'solve')
  for (let count = 0; count < 10_000; count++)
    await authenticate(`invented ${count}`, 'solve').catch(() => {})
  await authenticate('secret', 'solve')
  expect(keys.finds).toBe(10_002)
})

test('without a scope every key is enough; before the database has answered, scopes are those of that time', async () => {
  const keys = world()
  give(keys, 'secret', ['metrics'])
  const authenticate = authenticatorOf(keys)
  expect((await authenticate('secret', null)).scopes).toEqual(['metrics'])
  await expect(authenticate(null, null)).rejects.toEqual(invalid)

  const fresh = world({ anyKeys: false, down: true })
  const early = authenticatorOf(fresh)
  expect(await early(null, null)).toMatchObject({ keyId: null, scopes: ['solve', 'metrics'] })
  await expect(early('secret', null)).rejects.toEqual(unavailable)
  fresh.down = false
  expect((await early(null, null)).scopes).toContain('admin')
})
