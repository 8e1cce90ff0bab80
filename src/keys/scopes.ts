/** @file Scopes of API keys, and the form of the names of tenants. */

import { ServiceError } from '#errors'
import { type KeyLimits, parseAllowance } from './limits.ts'

/**
 * - `solve`: ask questions, read the episodes of the tenant.
 * - `feedback`: label episodes, send `reference` with a question.
 * - `delete`: delete episodes of the tenant.
 * - `metrics`: read `/metrics`.
 * - `admin`: everything under `/admin`, for all tenants.
 */
export const SCOPES = ['solve', 'feedback', 'delete', 'metrics', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

const TENANT = /^[0-9A-Za-z_.-]{1,64}$/
const MAX_NAME_LENGTH = 64

/** What a key is for, and how much of it. */
export interface KeyPurpose extends KeyLimits {
  /** Name of the key for operators. */
  readonly name: string
  readonly tenantId: string
  readonly scopes: readonly Scope[]
}

/** What a key is for, as a command or a file states it. */
interface PurposeTexts {
  readonly name: unknown
  readonly tenant: unknown
  readonly scopes: unknown
  readonly rate?: unknown
  readonly tokens?: unknown
}

/**
 * Checks what a key is for. Limits are texts such as `60/min`; without one there is no limit.
 *
 * @param where begin of the error message
 * @throws ServiceError CONFIG_INVALID
 */
export function checkPurpose(
  where: string,
  { name, tenant, scopes, rate, tokens }: PurposeTexts,
): KeyPurpose {
  const invalid = (expected: string) => new ServiceError('CONFIG_INVALID', `${where}: expected ${expected}`)
  // Operators read names on terminals and in logs.
  if (
    typeof name !== 'string' ||
    name.trim() === '' ||
    name.length > MAX_NAME_LENGTH ||
    /[\p{C}\p{Zl}\p{Zp}]/u.test(name)
  )
    throw invalid(`a name of 1 to ${MAX_NAME_LENGTH} characters, without control characters`)
  if (typeof tenant !== 'string' || !TENANT.test(tenant))
    throw invalid('a tenant of 1 to 64 letters, digits, `_`, `.` and `-`')
  const list: readonly unknown[] = Array.isArray(scopes) ? scopes : []
  const unknown = list.find((scope) => !isScope(scope))
  if (unknown !== undefined || list.length === 0)
    throw invalid(
      `scopes of ${SCOPES.join(', ')}, got ${unknown === undefined ? 'none' : JSON.stringify(unknown)}`,
    )
  return {
    name,
    tenantId: tenant,
    scopes: SCOPES.filter((scope) => list.includes(scope)),
    rate: rate === undefined ? null : parseAllowance(`${where}: rate`, rate),
    tokens: tokens === undefined ? null : parseAllowance(`${where}: tokens`, tokens),
  }
}

function isScope(value: unknown): value is Scope {
  return SCOPES.some((scope) => scope === value)
}
