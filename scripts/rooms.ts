/**
 * @file The rooms of `src/`: what each holds and which other rooms it may import. The one source of the walls that Biome lints
 * (`biome.walls.json`), of the table in ARCHITECTURE.md, and of `test/contract/architecture.test.ts`.
 */

import { dirname, join, normalize } from 'node:path'

export interface Room {
  /** One line for the table in ARCHITECTURE.md. */
  readonly holds: string
  /** Rooms whose doors it may import; those in `OPEN_TO_ALL` are open to all. */
  readonly mayImport: readonly string[]
}

/** From the floor up: a room may import only rooms above it in this list. */
export const ROOMS: Readonly<Record<string, Room>> = {
  tracing: {
    holds: 'the only room with OpenTelemetry: the tracer that other rooms are given, the names of attributes',
    mayImport: [],
  },
  tensor: { holds: 'arithmetic on typed arrays: fp16, seeded randomness, random projections', mayImport: [] },
  onnx: { holds: 'the ONNX IR: protobuf in and out, tape, passes', mayImport: ['tensor'] },
  autodiff: {
    holds: 'shape inference, one VJP rule per op, the reverse walk, AdamW as a graph',
    mayImport: ['onnx', 'tensor'],
  },
  decoder: {
    holds: 'the layout of a decoder export; the Loop compiler and the head compiler',
    mayImport: ['autodiff', 'onnx', 'tensor'],
  },
  ports: {
    holds: 'interfaces only: a model with latents, its head, a memory, trained models, a graph runner',
    mayImport: ['tensor'],
  },
  engine: {
    holds:
      'the only room with onnxruntime-node: model directory, tokenizer, processes, scheduler, graph runners',
    mayImport: ['ports', 'decoder', 'onnx', 'tensor'],
  },
  models: {
    holds:
      'the only room with @huggingface/hub: checks, adds and lists model directories for the command `circadian model`',
    mayImport: ['engine', 'decoder', 'onnx'],
  },
  algorithms: {
    holds: 'the papers, over `ports/`: LatentSeek, LatentEvolve, LTO, rewards, and the networks they train',
    mayImport: ['ports', 'autodiff', 'onnx', 'tensor'],
  },
  database: { holds: 'pool, migrations, embedded Postgres', mayImport: [] },
  episodes: {
    holds: 'the episode store, the outbox, the training sets; SQL + pgvector',
    mayImport: ['ports', 'database', 'tensor'],
  },
  artifacts: {
    holds: 'versions of weaver, reward model and fused judge, the record of consolidations',
    mayImport: ['database'],
  },
  keys: {
    holds: 'API keys, their tenants, scopes and limits; idempotency keys; the record of calls of operators',
    mayImport: ['database'],
  },
  serving: {
    holds: 'the trained versions that serve: loads the active ones, swaps them between two requests',
    mayImport: ['ports', 'algorithms', 'engine', 'artifacts'],
  },
  solving: {
    holds: 'one request from question to committed episode',
    mayImport: ['ports', 'serving', 'algorithms', 'engine', 'episodes', 'tensor', 'tracing'],
  },
  consolidation: {
    holds: 'one consolidation from snapshot to report: recorded steps, training, gate, replay',
    mayImport: ['ports', 'solving', 'serving', 'algorithms', 'engine', 'episodes', 'artifacts', 'tracing'],
  },
  jobs: {
    holds: 'the only room with bullmq and ioredis: queues, relay, worker, maintenance',
    mayImport: ['consolidation', 'episodes', 'artifacts', 'database', 'tracing'],
  },
  console: {
    holds:
      'the files of the page `/console`, which `npm run console:build` makes from the sources in `console/`',
    mayImport: [],
  },
  http: {
    holds:
      'the only room with fastify: routes (those of OpenAI under `/v1` too), schemas, problem+json, server-sent events',
    mayImport: ['solving', 'episodes', 'artifacts', 'keys', 'tracing'],
  },
  metrics: {
    holds: 'the only room with prom-client: the figures of `GET /metrics`',
    mayImport: ['serving', 'solving', 'jobs', 'engine', 'http'],
  },
  evaluation: {
    holds: 'accuracy and cost of strategies on problems with known answers, for the command `circadian eval`',
    mayImport: ['solving', 'http', 'algorithms', 'models'],
  },
  profiling: {
    holds:
      'measures prompts, judges, embeddings and rates of a model, for the command `circadian model profile`',
    mayImport: ['ports', 'solving', 'engine', 'algorithms', 'models', 'evaluation', 'tensor'],
  },
}

/** Files below all rooms, which every room may import. */
const OPEN_TO_ALL: readonly string[] = ['#errors', '#folder-lock', '#throttle-log']

/** Packages that only the named rooms may import. A name that ends in `/` stands for a whole scope. */
export const OWNED_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-node': ['engine'],
  pg: ['database', 'episodes', 'artifacts'],
  bullmq: ['jobs'],
  ioredis: ['jobs'],
  fastify: ['http'],
  '@fastify/': ['http'],
  'prom-client': ['metrics'],
  '@huggingface/hub': ['models'],
  '@opentelemetry/': ['tracing'],
}

/** The text of `biome.walls.json`: one `noRestrictedImports` override for each room. */
export function biomeWalls(): string {
  const overrides = Object.entries(ROOMS).map(([room, { mayImport }]) => ({
    includes: [`src/${room}/**`],
    linter: { rules: { style: { noRestrictedImports: restriction(room, mayImport) } } },
  }))
  return `${JSON.stringify({ overrides }, null, 2)}\n`
}

function restriction(room: string, mayImport: readonly string[]) {
  const packages = Object.keys(OWNED_PACKAGES)
    .filter((name) => !OWNED_PACKAGES[name]!.includes(room))
    .map((name) => (name.endsWith('/') ? `${name}*` : name))
  const doors = [...OPEN_TO_ALL, ...mayImport.map((name) => `#${name}`)].map((door) => `!${door}`)
  const allowed = mayImport.length === 0 ? 'no other room' : mayImport.map((name) => `${name}/`).join(', ')
  return {
    level: 'error',
    options: {
      patterns: [
        {
          group: ['#*', ...doors, ...packages],
          message: `${room}/ may import ${allowed} (scripts/rooms.ts).`,
        },
      ],
    },
  }
}

/** The rows of ARCHITECTURE.md's table of rooms. */
export function roomTable(): string {
  const rows = Object.entries(ROOMS).map(
    ([room, { holds, mayImport }]) => `| \`${room}/\` | ${holds} | ${mayImport.join(', ') || '-'} |`,
  )
  return ['| room | holds | may import |', '| --- | --- | --- |', ...rows].join('\n')
}

/** Room of a file such as `src/http/app.ts`; empty for the files that lie directly in src/. */
export function roomOf(path: string): string {
  const parts = path.split('/')
  return parts.length > 2 ? (parts[1] ?? '') : ''
}

/** Module specifiers of static and dynamic imports and of re-exports; imports of types alone included. */
export function importsOf(source: string): string[] {
  return [
    ...source.matchAll(
      /^\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'|import\(\s*'([^']+)'|^import\s+'([^']+)'/gm,
    ),
  ].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? '')
}

/**
 * Path of the file of src/ that an import of the file `path` names; null for packages.
 *
 * @param doors `imports` of package.json
 */
export function importedFile(
  path: string,
  specifier: string,
  doors: Readonly<Record<string, string>>,
): string | null {
  if (specifier.startsWith('#')) return normalize(doors[specifier] ?? '')
  return specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : null
}

/**
 * Returns whether an import of the file `path` leaves its room for one that it may not import,
 * or past the door of one that it may.
 */
export function crossesWall(path: string, specifier: string): boolean {
  const room = roomOf(path)
  if (OPEN_TO_ALL.includes(specifier)) return false
  if (specifier.startsWith('#')) {
    return room !== '' && !(ROOMS[room]?.mayImport ?? []).includes(specifier.slice(1))
  }
  if (!specifier.startsWith('.')) return false
  const target = normalize(join(dirname(path), specifier))
  return room === '' ? target.split('/').length > 2 : roomOf(target) !== room
}

/** Returns whether an import of the file `path` names a package that belongs to other rooms. */
export function takesOwnedPackage(path: string, specifier: string): boolean {
  return Object.entries(OWNED_PACKAGES).some(
    ([name, owners]) =>
      (specifier === name || specifier.startsWith(name.endsWith('/') ? name : `${name}/`)) &&
      !owners.includes(roomOf(path)),
  )
}
