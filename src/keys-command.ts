/** @file The commands `circadian keys create`, `list` and `revoke`. */

import { pino } from 'pino'
import { migrate, openDatabase } from '#database'
import { checkPurpose, createKeyStore, formatAllowance, type KeyLimits, type StoredKey } from '#keys'
import { type Config, MIGRATIONS } from './config.ts'

type Settings = Pick<Config, 'database' | 'dataDir'>

/** Creates a key and prints it. @throws ServiceError CONFIG_INVALID for an unknown scope, a bad name or limit */
export async function createKey(
  config: Settings,
  purpose: {
    readonly name: string
    readonly tenant: string
    readonly scopes: readonly string[]
    readonly rate?: string
    readonly tokens?: string
  },
  asJson: boolean,
): Promise<void> {
  const checked = checkPurpose('keys create', {
    ...purpose,
    scopes: purpose.scopes.map((scope) => scope.trim()),
  })
  const { stored, key } = await withStore(config, (store) => store.create(checked))
  process.stdout.write(asJson ? `${JSON.stringify({ key, ...stored }, null, 2)}\n` : `${key}\n`)
  if (asJson) return
  const { id, tenantId, scopes } = stored
  process.stderr.write(
    `key ${id} of the tenant ${tenantId} with ${scopes.join(', ')}. It is not shown again. Send it as \`Authorization: Bearer KEY\`.\n`,
  )
}

/** Prints all keys. */
export async function listKeys(config: Settings, asJson: boolean): Promise<void> {
  const stored = await withStore(config, (store) => store.list())
  process.stdout.write(asJson ? `${JSON.stringify(stored, null, 2)}\n` : formatKeys(stored))
}

/** Revokes a key. @throws ServiceError KEY_NOT_FOUND */
export async function revokeKey(config: Settings, id: string): Promise<void> {
  const { name, revokedAt } = await withStore(config, (store) => store.revoke(id))
  process.stdout.write(`revoked: ${id} (${name}), ${revokedAt?.toISOString()}\n`)
}

/** Opens the database, which no service may have open when it is the embedded one. */
async function withStore<T>(
  { database: server, dataDir }: Settings,
  work: (store: ReturnType<typeof createKeyStore>) => Promise<T>,
): Promise<T> {
  const logger = pino({ level: 'silent' })
  const database = await openDatabase({ url: server?.url, dataDir, logger })
  try {
    await migrate(database.pool, MIGRATIONS)
    return await work(createKeyStore({ database }))
  } finally {
    await database.close()
  }
}

function formatKeys(keys: readonly StoredKey[]): string {
  if (keys.length === 0) return 'no keys\n'
  const rows = keys.map(({ id, name, tenantId, scopes, fromFile, createdAt, revokedAt, ...limits }) => [
    id,
    name,
    tenantId,
    scopes.join(','),
    formatLimits(limits),
    createdAt.toISOString().slice(0, 10),
    revokedAt === null
      ? fromFile
        ? 'valid (file)'
        : 'valid'
      : `revoked ${revokedAt.toISOString().slice(0, 10)}`,
  ])
  const table = [['id', 'name', 'tenant', 'scopes', 'limits', 'created', 'state'], ...rows]
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return `${table.map(line).join('\n')}\n`
}

function formatLimits({ rate, tokens }: KeyLimits): string {
  const limits = [
    ...(rate === null ? [] : [formatAllowance(rate)]),
    ...(tokens === null ? [] : [`${formatAllowance(tokens)} tokens`]),
  ]
  return limits.join(', ') || 'none'
}
