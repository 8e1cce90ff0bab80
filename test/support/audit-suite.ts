/** @file The tests of the record of calls, run on the embedded database and on a server. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuditStore, createAuditStore } from '#keys'
import type { TestDatabase } from './test-database.ts'

export function describeAudit(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`record of calls on ${name}`, () => {
    let test: TestDatabase
    let store: AuditStore
    beforeAll(async () => {
      test = await createDatabase()
      store = createAuditStore({ database: test.database })
    })
    afterAll(() => test.drop())

    it('lists calls page by page, newest first', async () => {
      expect(await store.list({ limit: 2, before: null })).toEqual([])
      const call = { tenantId: 'acme', keyId: null, caller: '::1', target: null, force: null, status: 200 }
      for (const action of ['one', 'two', 'three']) await store.record({ ...call, action, requestId: action })
      await store.record({ ...call, action: 'four', requestId: 'r', keyId: 'k', target: 't', force: true })
      const first = await store.list({ limit: 2, before: null })
      expect(first.map(({ action }) => action)).toEqual(['four', 'three'])
      expect(first[0]).toEqual({
        ...call,
        id: expect.stringMatching(/^\d+$/),
        at: expect.stringMatching(/Z$/),
        action: 'four',
        requestId: 'r',
        keyId: 'k',
        target: 't',
        force: true,
      })
      const rest = await store.list({ limit: 2, before: first[1]!.id })
      expect(rest.map(({ action }) => action)).toEqual(['two', 'one'])
      expect(await store.list({ limit: 2, before: rest[1]!.id })).toEqual([])
    })
  })
}
