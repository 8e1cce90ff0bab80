/** @file The rooms of src/ and the walls between them: what Biome lints, proved to cover every room, and once more by hand. */

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** ARCHITECTURE.md's table: which rooms a room may import. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  tensor: [],
  onnx: ['tensor'],
  autodiff: ['onnx', 'tensor'],
  decoder: ['autodiff', 'onnx', 'tensor'],
  engine: ['decoder', 'onnx', 'tensor', 'algorithms'],
  algorithms: ['autodiff', 'onnx', 'tensor'],
  database: [],
  episodes: ['algorithms', 'database', 'tensor'],
  artifacts: ['algorithms', 'database'],
  solving: ['algorithms', 'engine', 'episodes', 'artifacts', 'tensor'],
  jobs: ['solving', 'algorithms', 'engine', 'episodes', 'artifacts', 'database'],
  http: ['solving', 'episodes', 'artifacts'],
  metrics: ['solving', 'engine', 'http'],
}

/** Packages that one room alone may know. */
const OWNED_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-node': ['engine'],
  pg: ['database', 'episodes', 'artifacts'],
  bullmq: ['jobs'],
  ioredis: ['jobs'],
  fastify: ['http'],
  '@fastify/': ['http'],
  'prom-client': ['metrics'],
}

const GENERATED = /^src\/onnx\/proto\//

const rooms = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

const files = globSync('src/**/*.{ts,js}', { cwd: ROOT })
  .filter((path) => !GENERATED.test(path))
  .map((path) => ({ path, room: path.split('/').length > 2 ? (path.split('/')[1] ?? '') : '' }))

/** Module specifiers of static and dynamic imports and of re-exports. */
const importsOf = (path: string) =>
  [
    ...read(path).matchAll(
      /^\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'|import\(\s*'([^']+)'|^import\s+'([^']+)'/gm,
    ),
  ].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? '')

test('every room is known here, is walled in by Biome and has a door', () => {
  // biome.jsonc has comments on lines of their own.
  const biome = JSON.parse(read('biome.jsonc').replaceAll(/^\s*\/\/.*$/gm, ''))
  const walled = biome.overrides
    .filter(
      (override: { linter: { rules: { style?: object } } }) =>
        'noRestrictedImports' in (override.linter.rules.style ?? {}),
    )
    .flatMap(({ includes }: { includes: string[] }) => includes)
  const doors = JSON.parse(read('package.json')).imports
  for (const room of rooms) {
    expect(MAY_IMPORT, room).toHaveProperty(room)
    expect(walled).toContain(`src/${room}/**`)
    expect(doors[`#${room}`]).toBe(`./src/${room}/index.ts`)
  }
})

test('a room imports only the rooms that it may, and through their doors', () => {
  const offences = files.flatMap(({ path, room }) =>
    importsOf(path)
      .filter((specifier) => {
        if (specifier === '#errors') return false
        if (specifier.startsWith('#'))
          return room !== '' && !(MAY_IMPORT[room] ?? []).includes(specifier.slice(1))
        if (!specifier.startsWith('.')) return false
        const target = normalize(join(dirname(path), specifier)).split('/')
        return room === '' ? target.length > 2 : target[1] !== room
      })
      .map((specifier) => `${path} imports ${specifier}`),
  )
  expect(offences).toEqual([])
})

test('what a room alone may know, no other imports', () => {
  const offences = files.flatMap(({ path, room }) =>
    importsOf(path)
      .filter((specifier) =>
        Object.entries(OWNED_PACKAGES).some(
          ([name, owners]) =>
            (specifier === name || specifier.startsWith(name.endsWith('/') ? name : `${name}/`)) &&
            !owners.includes(room),
        ),
      )
      .map((specifier) => `${path} imports ${specifier}`),
  )
  expect(offences).toEqual([])
})

test('doors only re-export', () => {
  for (const room of rooms) {
    const lines = read(`src/${room}/index.ts`)
      .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      .replaceAll(/export (?:type )?(?:\*|\{[^}]*\})(?: as \w+)? from '[^']+'/g, '')
    expect(lines.trim(), room).toBe('')
  }
})

test('no file is longer than 500 lines', () => {
  const long = files
    .map(({ path }) => ({ path, lines: read(path).split('\n').length }))
    .filter(({ lines }) => lines > 500)
  expect(long).toEqual([])
})

test('the scan above sees imports', () => {
  expect(importsOf('src/http/app.ts')).toEqual(
    expect.arrayContaining(['fastify', '#solving', './openapi.ts']),
  )
})
