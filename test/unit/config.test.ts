import { basename, isAbsolute } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'

function faultsOf(env: Record<string, string>) {
  try {
    loadConfig(env)
  } catch (error) {
    return error
  }
  return expect.unreachable('expected CONFIG_INVALID')
}

test('an empty environment gives the embedded service on loopback', () => {
  const config = loadConfig({})
  expect(config).toMatchObject({
    http: {
      host: '127.0.0.1',
      port: 8080,
      allowAnonymous: false,
      keysFile: null,
      allowedHosts: [],
      trustProxy: [],
      drainDelayMs: 0,
    },
    dataDir: './data',
    database: null,
    redis: null,
    worker: { host: '127.0.0.1', port: null, allowAnonymous: false },
    engine: { executionProvider: 'auto', cudaDevice: 0, replicas: 1, memoryBytes: null },
    solving: { maxMs: 120_000 },
    nights: {
      cron: null,
      everyEpisodes: 200,
      promote: 'auto',
      evidence: { questions: 100, minutes: 15 },
      healthRollback: true,
    },
    logger: { level: 'info' },
    shutdownTimeoutMs: 30_000,
    episodes: { ttlDays: 0, capacity: 50_000 },
    tracing: { endpoint: null },
  })
  expect(isAbsolute(config.engine.directory)).toBe(true)
  expect(basename(config.engine.directory)).toBe('order-of-operations')
})

test('reads every variable', () => {
  const config = loadConfig({
    PORT: '0',
    HOST: '0.0.0.0',
    ALLOW_ANONYMOUS: 'true',
    API_KEYS_FILE: '/run/secrets/keys.json',
    ALLOWED_HOSTS: 'Circadian.Example, api,,10.0.0.5,[FD00::1]',
    CORS_ORIGINS: 'https://App.example, http://localhost:3000',
    TRUST_PROXY: '10.0.0.5, FD00::/8',
    DRAIN_DELAY_MS: '5000',
    DATA_DIR: '/var/lib/circadian',
    DATABASE_URL: 'postgresql://u:p@db/circadian',
    REDIS_URL: 'rediss://cache:6380',
    REDIS_PREFIX: 'shop',
    WORKER_PORT: '9090',
    MODEL_DIR: './models/mine',
    EXECUTION_PROVIDER: 'cuda',
    CUDA_DEVICE: '3',
    ENGINE_REPLICAS: '4',
    ENGINE_MEMORY_BYTES: '8589934592',
    SOLVE_MAX_MS: '0',
    WEBHOOK_SECRET: 'whsec_c2VjcmV0IG9mIHRoZSB3ZWJob29rcw==',
    WEBHOOK_PRIVATE: 'true',
    NIGHT_CRON: '*/5 3 * * 1-5',
    NIGHT_EVERY_EPISODES: '0',
    HEALTH_ROLLBACK: 'false',
    LOG_LEVEL: 'trace',
    SHUTDOWN_TIMEOUT_MS: '0',
    EPISODE_TTL_DAYS: '90',
    EPISODE_CAPACITY: '7',
    AUDIT_TTL_DAYS: '30',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector:4318',
  })
  expect(config).toEqual({
    http: {
      host: '0.0.0.0',
      port: 0,
      allowAnonymous: true,
      keysFile: '/run/secrets/keys.json',
      allowedHosts: ['circadian.example', 'api', '10.0.0.5', 'fd00::1'],
      corsOrigins: ['https://app.example', 'http://localhost:3000'],
      trustProxy: ['10.0.0.5', 'fd00::/8'],
      drainDelayMs: 5000,
    },
    dataDir: '/var/lib/circadian',
    database: { url: 'postgresql://u:p@db/circadian' },
    redis: { url: 'rediss://cache:6380', prefix: 'shop' },
    worker: {
      host: '0.0.0.0',
      port: 9090,
      allowAnonymous: true,
      allowedHosts: ['circadian.example', 'api', '10.0.0.5', 'fd00::1'],
    },
    engine: {
      directory: './models/mine',
      executionProvider: 'cuda',
      cudaDevice: 3,
      replicas: 4,
      memoryBytes: 8589934592,
    },
    solving: { maxMs: null },
    webhooks: { secret: 'whsec_c2VjcmV0IG9mIHRoZSB3ZWJob29rcw==', allowPrivate: true },
    nights: {
      cron: '*/5 3 * * 1-5',
      everyEpisodes: 0,
      promote: 'auto',
      evidence: { questions: 100, minutes: 15 },
      healthRollback: false,
    },
    logger: { level: 'trace' },
    shutdownTimeoutMs: 0,
    episodes: { ttlDays: 90, capacity: 7 },
    audit: { ttlDays: 30 },
    tracing: { endpoint: 'https://collector:4318' },
  })
})

test('treats empty and blank values as unset, as compose files write them', () => {
  expect(loadConfig({ PORT: '', DATABASE_URL: ' ', LOG_LEVEL: '' })).toEqual(loadConfig({}))
})

test('reports every fault at once, and no value', () => {
  const error = faultsOf({
    PORT: '80a',
    CUDA_DEVICE: '-1',
    EXECUTION_PROVIDER: 'gpu',
    LOG_LEVEL: 'loud',
    WEBHOOK_SECRET: 'hunter2',
    EPISODE_TTL_DAYS: '1.5',
    REDIS_URL: 'http://user:hunter2@cache',
  })
  expect(error).toMatchObject({
    code: 'CONFIG_INVALID',
    faults: [
      { pointer: '/PORT', detail: 'expected a whole number from 0 to 65535' },
      { pointer: '/REDIS_URL', detail: 'expected a URL that matches ^rediss?://' },
      { pointer: '/EXECUTION_PROVIDER', detail: 'expected one of auto, cuda, cpu' },
      { pointer: '/CUDA_DEVICE', detail: 'expected a whole number from 0 to 255' },
      { pointer: '/WEBHOOK_SECRET', detail: 'expected a text of at least 16 characters' },
      { pointer: '/LOG_LEVEL', detail: 'expected one of fatal, error, warn, info, debug, trace, silent' },
      { pointer: '/EPISODE_TTL_DAYS', detail: 'expected a whole number from 0 to 36500' },
      {
        pointer: '/REDIS_URL',
        detail: 'expected DATABASE_URL beside it: a shared queue needs a shared database',
      },
    ],
  })
  expect(String(error)).not.toContain('hunter2')
})

test.each(['65536', '-1', '0x50', '8e3', '80 80', '1'.repeat(16)])('refuses %s as a port', (PORT) => {
  expect(faultsOf({ PORT })).toMatchObject({ code: 'CONFIG_INVALID' })
})

test.each(['https://a.example', 'a.example:443', 'a.example/path', '*', 'a b', 'u@a.example'])(
  'refuses %s as a host name',
  (name) => {
    expect(faultsOf({ ALLOWED_HOSTS: `localhost,${name}` })).toMatchObject({
      faults: [{ pointer: '/ALLOWED_HOSTS' }],
    })
  },
)

test('takes an IPv6 address with or without brackets', () => {
  expect(loadConfig({ HOST: '[::1]' }).http.host).toBe('::1')
  expect(loadConfig({ HOST: '::1' }).http.host).toBe('::1')
})

test.each(['mysql://db', 'postgres//db', 'postgres://[::1', 'db:5432'])(
  'refuses %s as a database',
  (DATABASE_URL) => {
    expect(faultsOf({ DATABASE_URL })).toMatchObject({ faults: [{ pointer: '/DATABASE_URL' }] })
  },
)

test.each([
  'postgres://u:p#x@h/db',
  'postgres://u:12#x@h/db',
  'postgres://u:12/x@h/db',
  'postgres://u:p?x@h/db',
  'postgres://[::1',
])('asks to encode the special characters in %s', (DATABASE_URL) => {
  const detail =
    'expected a URL: percent-encode special characters of user and password, for example %23 for # and %2F for /'
  expect(faultsOf({ DATABASE_URL })).toMatchObject({ faults: [{ pointer: '/DATABASE_URL', detail }] })
})

test('refuses several hosts', () => {
  const detail = 'expected a URL with one host: use a name or a proxy that leads to the primary'
  const fault = faultsOf({ DATABASE_URL: 'postgres://u:p@h1:5432,h2:5432/db' })
  expect(fault).toMatchObject({ faults: [{ pointer: '/DATABASE_URL', detail }] })
})

test.each([
  'postgres://u:p%40ss%3Aw%2Ford%231%3F%25%26@h/db',
  'postgres://u:a,b@h/db',
  'postgres://u:p@%2Frun%2Fpostgresql:5432/db',
  'postgres://u:p@/db?host=/run/postgresql',
  'postgres:///db?host=/run/postgresql',
  'postgres://u@[::1]:5432/db?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem',
])('takes %s as a database', (DATABASE_URL) => {
  expect(loadConfig({ DATABASE_URL }).database).toEqual({ url: DATABASE_URL })
})

test.each([
  'true',
  '1',
  'loopback',
  'proxy.example',
  '10.0.0.0/33',
  '10.0.0.0/',
  '0.0.0.0/0',
  '::/0',
  'fe80::1%eth0',
  '10.0.0.1/8/8',
  '10.0.0.1 10.0.0.2',
])('refuses %s as proxies', (TRUST_PROXY) => {
  expect(faultsOf({ TRUST_PROXY })).toMatchObject({ faults: [{ pointer: '/TRUST_PROXY' }] })
})

test.each([
  '*',
  'app.example',
  'https://*.example',
  'https://app.example/',
  'file://',
  'https://a.example/x',
  'null',
])('refuses %s as an origin', (CORS_ORIGINS) => {
  expect(faultsOf({ CORS_ORIGINS })).toMatchObject({ faults: [{ pointer: '/CORS_ORIGINS' }] })
})

test('takes an IPv6 address with brackets or without', () => {
  expect(loadConfig({ HOST: '[::1]' }).http.host).toBe('::1')
  expect(loadConfig({ HOST: '::1' }).http.host).toBe('::1')
})

test.each([
  '3',
  '0 3 * *',
  '0 3 * * * * *',
  '60 3 * * *',
  '0 3 * * moon',
  '0 0 30 2 *',
  'every day at three',
])('refuses %s as a schedule', (NIGHT_CRON) => {
  expect(faultsOf({ NIGHT_CRON })).toMatchObject({ faults: [{ pointer: '/NIGHT_CRON' }] })
})

test.each(['0 3 * * *', '0 0 3 * * 6', '*/15 * * * *', '0 3 1,15 * *'])('takes %s as a schedule', (cron) => {
  expect(loadConfig({ NIGHT_CRON: ` ${cron} ` }).nights.cron).toBe(cron)
})

test.each(['H 3 * * *', 'H(0-29) * * * *', '0 H/4 * * *'])('refuses %s, a random time', (NIGHT_CRON) => {
  expect(faultsOf({ NIGHT_CRON })).toMatchObject({
    faults: [
      { pointer: '/NIGHT_CRON', detail: expect.stringContaining('got H, which would be a new random') },
    ],
  })
})

test('cannot be changed, at any depth', () => {
  const config = loadConfig({ DATABASE_URL: 'postgres://db/x' })
  expect(Object.isFrozen(config)).toBe(true)
  for (const group of Object.values(config)) expect(Object.isFrozen(group)).toBe(true)
})
