export { type AuditStore, createAuditStore } from './audit-store.ts'
export { ANYBODY, type Authenticate, createAuthenticator } from './authenticator.ts'
export { createSharedCounters } from './counters.ts'
export {
  createIdempotencyStore,
  type IdempotencyStore,
  type Ownership,
} from './idempotency-store.ts'
export { readKeyFile } from './key-file.ts'
export { createKeyStore, type StoredKey } from './key-store.ts'
export { createLimiter, type Limiter, type Quota } from './limiter.ts'
export { formatAllowance, type KeyLimits } from './limits.ts'
export { checkPurpose, SCOPES, type Scope } from './scopes.ts'
