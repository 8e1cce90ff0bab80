/** @file The rooms of src/ and the walls between them: Biome's walls cover every room, and the imports are checked once more here. */

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  biomeWalls,
  crossesWall,
  importsOf,
  ROOMS,
  roomTable,
  takesOwnedPackage,
} from '../../scripts/rooms.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const GENERATED = /^src\/onnx\/proto\//

const rooms = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

const files = globSync('src/**/*.{ts,js}', { cwd: ROOT }).filter((path) => !GENERATED.test(path))

const importsThat = (offends: (path: string, specifier: string) => boolean) =>
  files.flatMap((path) =>
    importsOf(read(path))
      .filter((specifier) => offends(path, specifier))
      .map((specifier) => `${path} imports ${specifier}`),
  )

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
  expect(importsThat(crossesWall)).toEqual([])
})

test('what a room alone may know, no other imports', () => {
  expect(importsThat(takesOwnedPackage)).toEqual([])
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
    .map((path) => ({ path, lines: read(path).split('\n').length }))
    .filter(({ lines }) => lines > 500)
  expect(long).toEqual([])
})

test('the scan above sees imports', () => {
  expect(importsOf(read('src/http/app.ts'))).toEqual(
    expect.arrayContaining(['fastify', '#solving', './openapi.ts']),
  )
})
