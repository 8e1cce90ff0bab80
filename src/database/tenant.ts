/** @file The tenant of the caller whose statements run, for row-level security. */

import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'

/** Role of the transactions of callers. All databases of a server share it; it owns nothing and cannot log in. */
export const TENANT_ROLE = 'circadian_tenant'

const tenants = new AsyncLocalStorage<string>()

/** Runs `work`, whose statements on a walled database see and write rows of the tenant only. */
export function asTenant<T>(tenantId: string, work: () => T): T {
  return tenants.run(tenantId, work)
}

/** Returns the tenant of `asTenant`; undefined outside of it. */
export function currentTenant(): string | undefined {
  return tenants.getStore()
}

/** State of the wall of a database. */
export interface TenantWall {
  /** Whether the role can be taken; false until `openTenantWall` has found out. */
  isUp: boolean
}

/** Returns the statements that begin a transaction of the current tenant; null if it must see all tenants. */
export function tenantBegin(wall: TenantWall | undefined): string | null {
  const tenantId = tenants.getStore()
  if (!wall?.isUp || tenantId === undefined) return null
  return `begin; set local role ${TENANT_ROLE}; select set_config('circadian.tenant', ${pg.escapeLiteral(tenantId)}, true)`
}
