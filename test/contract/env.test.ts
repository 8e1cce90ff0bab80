/**
 * @file The environment schema, .env.example and docs/configuration.md agree; only main.ts and worker.ts
 * read it.
 */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Environment, loadConfig } from '../../src/config.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const variables = Object.entries(Environment.properties).map(([name, schema]) => {
  const { default: value = '', description } = { ...schema } as { default?: unknown; description?: string }
  return { name, value: String(value), description }
})

test('docs/configuration.md has a row for each variable: name, default, meaning', () => {
  const rows = [...read('docs/configuration.md').matchAll(/^\| `([A-Z_]+)` *\| (.*?) *\| (.*?) *\|$/gm)]
  expect(rows.map(([, name, value, description]) => ({ name, value, description }))).toEqual(
    variables.map(({ name, value, description }) => ({
      name,
      value: value === '' ? 'unset' : `\`${value}\``,
      description,
    })),
  )
})

test('.env.example has each variable, commented out, with its default', () => {
  const entries = [...read('.env.example').matchAll(/^# (.*)\n# ([A-Z_]+)=(.*)$/gm)]
  expect(entries.map(([, description, name, value]) => ({ name, value, description }))).toEqual(variables)
})

test('the values in .env.example are the defaults', () => {
  const uncommented = Object.fromEntries(
    [...read('.env.example').matchAll(/^# ([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name ?? '', value]),
  )
  expect(loadConfig(uncommented)).toEqual(loadConfig({}))
})

test('only the programs read process.env', () => {
  const roots = new Set(['circadian', 'main', 'migrate', 'worker'].map((name) => `src/${name}.ts`))
  // They read no settings: the one passes its environment on, the other asks for the devices that CUDA sees.
  for (const name of ['engine/child-connection', 'engine/child/memory']) roots.add(`src/${name}.ts`)
  const readers = globSync('src/**/*.ts', { cwd: ROOT }).filter((path) => /process\.env\b/.test(read(path)))
  expect(readers.filter((path) => !roots.has(path))).toEqual([])
})
