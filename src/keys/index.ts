export { ANYBODY, type Authenticate, createAuthenticator } from './authenticator.ts'
export { readKeyFile } from './key-file.ts'
export { createKeyStore, type StoredKey } from './key-store.ts'
export { checkPurpose, SCOPES, type Scope } from './scopes.ts'
