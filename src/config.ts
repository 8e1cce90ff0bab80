/** @file Configuration: one schema of the environment variables, read once by `main.ts` and `worker.ts`. */

import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { CronExpressionParser } from 'cron-parser'
import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { type Fault, ServiceError } from '#errors'

export const BUNDLED_MODEL = resolve(import.meta.dirname, '../models/order-of-operations')
export const MIGRATIONS = resolve(import.meta.dirname, '../migrations')

/**
 * Environment variables with their bounds, defaults and meaning. A test compares docs/configuration.md and
 * .env.example with it. `secret` marks values that must never be printed.
 */
export const Environment = Type.Object({
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65_535,
    default: 8080,
    description: 'TCP port of the API. 0 picks any free port.',
  }),
  HOST: Type.String({
    minLength: 1,
    default: '127.0.0.1',
    description:
      'Address to listen on. Any address other than loopback opens the API to the network; it needs an API key (`circadian keys create`), or `ALLOW_ANONYMOUS=true`.',
  }),
  ALLOW_ANONYMOUS: Type.Enum(['true', 'false'], {
    default: 'false',
    description:
      'Whether callers need no API key on an address other than loopback either, as long as no key was ever created: `true` or `false`.',
  }),
  API_KEYS_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'JSON file of API keys that were made elsewhere, such as a mounted secret; read at start. Its keys are valid as long as the file holds them. Callers then always need a key.',
    }),
  ),
  ALLOWED_HOSTS: Type.Optional(
    Type.String({
      description:
        'Further host names of the API and of the port of the worker, separated by commas: values of `Host` and `Origin` that are accepted besides loopback and the address it listens on.',
    }),
  ),
  CORS_ORIGINS: Type.Optional(
    Type.String({
      description:
        'Origins of other sites, separated by commas, whose pages may call the API: `https://app.example`. If unset, no page of another site can.',
    }),
  ),
  TRUST_PROXY: Type.Optional(
    Type.String({
      description:
        'Addresses and CIDR ranges of reverse proxies, separated by commas, whose `X-Forwarded-For` gives the address of the caller. If unset, the header is ignored.',
    }),
  ),
  DRAIN_DELAY_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 0,
    description:
      'Time, in ms, between SIGTERM and the end of listening. Meanwhile new requests get a 503, so that load balancers turn away from this process.',
  }),
  DATA_DIR: Type.String({
    minLength: 1,
    default: './data',
    description:
      'Folder of the embedded database, relative to the working directory. Only one instance may use it at a time.',
  }),
  DATABASE_URL: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      secret: true,
      description:
        'URL of PostgreSQL (15 or newer) with pgvector (0.8 or newer). If unset, the embedded database is used.',
    }),
  ),
  REDIS_URL: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      secret: true,
      description:
        'URL of Redis for the job queue; requires `DATABASE_URL`. If unset, the queue is kept in the database.',
    }),
  ),
  REDIS_PREFIX: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Prefix of all keys in Redis. If unset, it is derived from an id of the database, so that several deployments can share a Redis.',
    }),
  ),
  WORKER_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description:
        'TCP port of `/livez`, `/readyz` and `/metrics` of the worker process, on the address `HOST`. `Host` and keys are checked as those of the API. If unset, the worker listens on no port.',
    }),
  ),
  MODEL_DIR: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Model directory (docs/models.md), relative to the working directory. If unset, the bundled model is used.',
    }),
  ),
  EXECUTION_PROVIDER: Type.Enum(['auto', 'cuda', 'cpu'], {
    default: 'auto',
    description: 'Execution provider of the model: `auto` (CUDA if it works, else CPU), `cuda` or `cpu`.',
  }),
  CUDA_DEVICE: Type.Integer({
    minimum: 0,
    maximum: 255,
    default: 0,
    description: 'Index of the CUDA device.',
  }),
  ENGINE_REPLICAS: Type.Integer({
    minimum: 1,
    maximum: 64,
    default: 1,
    description:
      'Number of engine processes of the model. On CUDA, each has its own device, starting at `CUDA_DEVICE`; on the CPU, they share the cores.',
  }),
  ENGINE_MEMORY_BYTES: Type.Optional(
    Type.Integer({
      minimum: 64 * 2 ** 20,
      maximum: 2 ** 46,
      description:
        'Memory, in bytes, that the engine processes may take together, weights included; on CUDA, memory of the devices. Answers for which there is no room wait; one that can never fit is refused. If unset, three quarters of the memory of the machine or container, or nine tenths of the devices.',
    }),
  ),
  SOLVE_MAX_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 120_000,
    description:
      'Time, in ms, that a request may take when it has no `budget.maxMs`; the best answer so far is returned at its end. 0 sets no limit.',
  }),
  WEBHOOK_SECRET: Type.Optional(
    Type.String({
      minLength: 16,
      secret: true,
      description:
        'Secret by which webhooks are signed (Standard Webhooks): `whsec_` and base64, or any text of 16 characters or more. If unset, no request may name a webhook.',
    }),
  ),
  WEBHOOK_PRIVATE: Type.Enum(['true', 'false'], {
    default: 'false',
    description:
      'Whether webhooks may call addresses of loopback and private networks: `true` or `false`. Callers could then reach services inside the network.',
  }),
  NIGHT_CRON: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Schedule of nights, as a cron expression in UTC with 5 fields, or 6 with seconds: `0 3 * * *` is every day at 03:00. If unset, there is no schedule.',
    }),
  ),
  NIGHT_EVERY_EPISODES: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 200,
    description:
      'Number of new episodes of a model that starts a night for that model. 0 switches this trigger off.',
  }),
  NIGHT_PROMOTE: Type.Enum(['auto', 'review'], {
    default: 'auto',
    description:
      'What a night does with a version that passed its gate: `auto` activates it, `review` lets it wait for `POST /admin/artifacts/{id}/activate`.',
  }),
  NIGHT_EVIDENCE_QUESTIONS: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 100,
    description:
      'Largest number of questions of requests to which a night samples answers: up to half of them such whose right answer is known, the others to learn from their agreement. 0 switches this off.',
  }),
  NIGHT_EVIDENCE_MINUTES: Type.Integer({
    minimum: 1,
    maximum: 1_440,
    default: 15,
    description: 'Time, in minutes, after which a night samples no more answers.',
  }),
  HEALTH_ROLLBACK: Type.Enum(['true', 'false'], {
    default: 'true',
    description:
      'Whether a promoted version is rolled back by itself when feedback and references call fewer of its answers right than those of the version before it: `true` or `false`.',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description:
      'Lowest level that is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`.',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 0,
    maximum: 3_600_000,
    default: 30_000,
    description: 'Time, in ms, that requests in flight get to finish after SIGTERM.',
  }),
  EPISODE_TTL_DAYS: Type.Integer({
    minimum: 0,
    maximum: 36_500,
    default: 0,
    description: 'Days after which an episode is deleted. 0 keeps all episodes.',
  }),
  EPISODE_CAPACITY: Type.Integer({
    minimum: 0,
    maximum: 100_000_000,
    default: 50_000,
    description:
      'Episodes that a tenant keeps of one model. Beyond it the least useful and oldest ones are deleted. 0 keeps all episodes.',
  }),
  AUDIT_TTL_DAYS: Type.Integer({
    minimum: 0,
    maximum: 36_500,
    default: 365,
    description: 'Days after which the record of a call of an operator is deleted. 0 keeps all records.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://',
      secret: true,
      description:
        'Base URL of an OpenTelemetry collector that accepts OTLP over HTTP; traces are sent to `/v1/traces` below it. If unset, no traces are recorded.',
    }),
  ),
})

type Environment = Static<typeof Environment>

/** Deep-frozen settings, grouped by the room that receives them. */
export type Config = ReturnType<typeof group>

/**
 * Reads and checks every variable. Empty values count as unset; numbers are whole decimal numbers.
 *
 * @throws ServiceError CONFIG_INVALID, naming every fault at once. Values are not repeated: they may be
 * secrets.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const values: Record<string, unknown> = {}
  const faults: Fault[] = []
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    const text = env[name]?.trim()
    if (text === undefined || text === '') {
      if ('default' in schema) values[name] = schema['default']
      continue
    }
    const value = Type.IsInteger(schema) && /^-?\d{1,15}$/.test(text) ? Number(text) : text
    const expected = satisfies(schema, value) ? urlFault(schema, text) : expectation(schema)
    if (expected !== null) faults.push({ pointer: `/${name}`, detail: `expected ${expected}` })
    values[name] = value
  }
  const hosts = values['ALLOWED_HOSTS']
  if (typeof hosts === 'string' && !listOf(hosts).every(isHostName)) {
    faults.push({
      pointer: '/ALLOWED_HOSTS',
      detail: 'expected host names without scheme and port, separated by commas',
    })
  }
  const origins = values['CORS_ORIGINS']
  if (typeof origins === 'string' && !listOf(origins).every(isOrigin)) {
    faults.push({
      pointer: '/CORS_ORIGINS',
      detail:
        'expected origins such as https://app.example or http://localhost:3000, separated by commas, and no *',
    })
  }
  const proxies = values['TRUST_PROXY']
  if (typeof proxies === 'string' && !listOf(proxies).every(isAddressRange)) {
    faults.push({
      pointer: '/TRUST_PROXY',
      detail:
        'expected IP addresses or CIDR ranges of proxies, separated by commas, and no range of prefix 0',
    })
  }
  const cron = values['NIGHT_CRON']
  if (typeof cron === 'string' && /\bH\b/i.test(cron)) {
    faults.push({
      pointer: '/NIGHT_CRON',
      detail: 'expected a fixed time, got H, which would be a new random time at every night; write a number',
    })
  } else if (typeof cron === 'string' && !isCron(cron)) {
    faults.push({
      pointer: '/NIGHT_CRON',
      detail: 'expected a cron expression of 5 fields, or 6 with seconds, with at least one date',
    })
  }
  if (values['REDIS_URL'] !== undefined && values['DATABASE_URL'] === undefined) {
    faults.push({
      pointer: '/REDIS_URL',
      detail: 'expected DATABASE_URL beside it: a shared queue needs a shared database',
    })
  }
  if (faults.length > 0) {
    const lines = faults.map(({ pointer, detail }) => `${pointer.slice(1)}: ${detail}`)
    throw new ServiceError('CONFIG_INVALID', `configuration: ${lines.join('; ')}`, { faults })
  }
  return deepFreeze(group(values as Environment))
}

function satisfies(schema: TSchema, value: string | number): boolean {
  return Compile(schema).Check(value)
}

/**
 * Returns what a URL lacks beyond its pattern; null if nothing. Host, database and parameters need no `@`
 * and no `#`: there it comes from a user or a password that is not encoded.
 */
function urlFault(schema: TSchema, text: string): string | null {
  if (!('pattern' in schema && String(schema.pattern).includes('://'))) return null
  const authority = text.split('://', 2)[1]?.split(/[/?#]/, 1)[0] ?? ''
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(','))
    return 'a URL with one host: use a name or a proxy that leads to the primary'
  // A socket may be given as `?host=/folder`, with nothing after the `@`.
  const url = URL.parse(text) ?? URL.parse(text.replace('@/', '@localhost/'))
  if (url === null || url.hash !== '' || `${url.pathname}${url.search}`.includes('@')) {
    return 'a URL: percent-encode special characters of user and password, for example %23 for # and %2F for /'
  }
  return null
}

/** Splits a list at its commas, in lower case and without empty items. */
function listOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** True for a name or an address without scheme, port and wildcard; an IPv6 address needs brackets. */
function isHostName(text: string): boolean {
  return !text.includes('*') && URL.parse(`http://${text}`)?.hostname === text
}

/** True for scheme, host and port of a web page, as browsers send them in `Origin`. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && !text.includes('*') && URL.parse(text)?.origin === text
}

/** True for an IP address, or a CIDR range of one with a prefix above 0: the range /0 would trust every caller. */
function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = address.includes('%') ? 0 : isIP(address)
  if (version === 0 || rest.length > 0) return false
  if (prefix === undefined) return true
  return /^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128)
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

function isCron(text: string): boolean {
  const fields = text.split(/\s+/).length
  if (fields !== 5 && fields !== 6) return false
  try {
    return CronExpressionParser.parse(text, { tz: 'UTC' }).hasNext()
  } catch {
    return false
  }
}

function expectation(schema: TSchema): string {
  const rules: Record<string, unknown> = { ...schema }
  if (Type.IsInteger(schema)) return `a whole number from ${rules['minimum']} to ${rules['maximum']}`
  if (Type.IsEnum(schema)) return `one of ${schema.enum.join(', ')}`
  if (rules['pattern'] === undefined) return `a text of at least ${rules['minLength']} characters`
  return `a URL that matches ${rules['pattern']}`
}

function group(env: Environment) {
  return {
    http: {
      host: withoutBrackets(env.HOST),
      port: env.PORT,
      allowAnonymous: env.ALLOW_ANONYMOUS === 'true',
      /** Null: there is no file. */
      keysFile: env.API_KEYS_FILE ?? null,
      allowedHosts: listOf(env.ALLOWED_HOSTS ?? '').map(withoutBrackets),
      corsOrigins: listOf(env.CORS_ORIGINS ?? ''),
      trustProxy: listOf(env.TRUST_PROXY ?? ''),
      drainDelayMs: env.DRAIN_DELAY_MS,
    },
    dataDir: env.DATA_DIR,
    /** Null for the embedded database in `dataDir`. */
    database: env.DATABASE_URL === undefined ? null : { url: env.DATABASE_URL },
    /** Null if the queue is kept in the database. */
    redis: env.REDIS_URL === undefined ? null : { url: env.REDIS_URL, prefix: env.REDIS_PREFIX },
    /** `port` is null for a worker without a port. */
    worker: {
      host: withoutBrackets(env.HOST),
      port: env.WORKER_PORT ?? null,
      allowAnonymous: env.ALLOW_ANONYMOUS === 'true',
      allowedHosts: listOf(env.ALLOWED_HOSTS ?? '').map(withoutBrackets),
    },
    engine: {
      directory: env.MODEL_DIR ?? BUNDLED_MODEL,
      executionProvider: env.EXECUTION_PROVIDER,
      cudaDevice: env.CUDA_DEVICE,
      replicas: env.ENGINE_REPLICAS,
      /** Null: the engine chooses. */
      memoryBytes: env.ENGINE_MEMORY_BYTES ?? null,
    },
    /** Null: no limit. */
    solving: { maxMs: env.SOLVE_MAX_MS === 0 ? null : env.SOLVE_MAX_MS },
    /** Null: there are no webhooks. */
    webhooks:
      env.WEBHOOK_SECRET === undefined
        ? null
        : { secret: env.WEBHOOK_SECRET, allowPrivate: env.WEBHOOK_PRIVATE === 'true' },
    nights: {
      cron: env.NIGHT_CRON ?? null,
      everyEpisodes: env.NIGHT_EVERY_EPISODES,
      promote: env.NIGHT_PROMOTE,
      evidence: { questions: env.NIGHT_EVIDENCE_QUESTIONS, minutes: env.NIGHT_EVIDENCE_MINUTES },
      healthRollback: env.HEALTH_ROLLBACK === 'true',
    },
    logger: { level: env.LOG_LEVEL },
    shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS,
    /** `ttlDays` 0 and `capacity` 0 keep all episodes. */
    episodes: { ttlDays: env.EPISODE_TTL_DAYS, capacity: env.EPISODE_CAPACITY },
    /** `ttlDays` 0 keeps all records. */
    audit: { ttlDays: env.AUDIT_TTL_DAYS },
    /** `endpoint` null records no traces. */
    tracing: { endpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT ?? null },
  } as const
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
