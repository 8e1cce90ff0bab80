/** @file The rooms of src/ and the walls between them: Biome's walls cover every room, and the imports are checked once more here. */

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { biomeWalls, OWNED_PACKAGES, ROOMS, roomTable } from '../../scripts/rooms.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

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

test('every room is in scripts/rooms.ts, in an order without arrows up, and has a door', () => {
  const doors = JSON.parse(read('package.json')).imports
  expect(Object.keys(ROOMS).sort()).toEqual([...rooms].sort())
  const below: string[] = []
  for (const [room, { mayImport }] of Object.entries(ROOMS)) {
    expect(below, room).toEqual(expect.arrayContaining([...mayImport]))
    expect(doors[`#${room}`]).toBe(`./src/${room}/index.ts`)
    below.push(room)
  }
})

test('the walls of Biome and the table of ARCHITECTURE.md are those of scripts/rooms.ts (npm run walls)', () => {
  expect(read('biome.walls.json')).toBe(biomeWalls())
  expect(read('biome.jsonc')).toContain('"extends": ["./biome.walls.json"]')
  expect(read('ARCHITECTURE.md')).toContain(`\n${roomTable()}\n`)
})

test('a room imports only the rooms that it may, and through their doors', () => {
  const offences = files.flatMap(({ path, room }) =>
    importsOf(path)
      .filter((specifier) => {
        if (specifier === '#errors') return false
        if (specifier.startsWith('#'))
          return room !== '' && !(ROOMS[room]?.mayImport ?? []).includes(specifier.slice(1))
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
