/** @file Settings of the installation: npm runs the scripts of the packages that need them, and no other. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { allowScripts, devDependencies } = JSON.parse(read('package.json'))
const packages: Record<string, { hasInstallScript?: true }> = JSON.parse(read('package-lock.json')).packages

test('npm ci never downloads CUDA: neither the lock nor allowScripts runs the script', () => {
  // A lock that npm wrote anew may list the script again: delete `hasInstallScript` of onnxruntime-node (see .npmrc).
  expect(packages['node_modules/onnxruntime-node']).toBeDefined()
  expect(packages['node_modules/onnxruntime-node']).not.toHaveProperty('hasInstallScript')
  expect(allowScripts['onnxruntime-node']).toBe(false)
})

test('every package with an install script is allowed or denied by name', () => {
  const scripted = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length))
  for (const name of scripted) expect(allowScripts, name).toHaveProperty(name)
})

test('Node comes with the installation, and its script may run', () => {
  expect(devDependencies.node).toMatch(/^24\./)
  expect(allowScripts.node).toBe(true)
})

test('.npmrc has keys that npm knows', () => {
  const keys = [...read('.npmrc').matchAll(/^([^#=\n]+)=/gm)].map(([, key]) => key)
  expect(keys).toEqual(['loglevel', 'fund', 'audit', 'update-notifier'])
})

test('documents run TypeScript with the pinned Node: through npm or npx', () => {
  const documents = [
    '.env.example',
    ...globSync('{*.md,{docs,models,bench,examples,src}/**/*.md}', { cwd: root }),
  ]
  const raw = documents.flatMap((path) =>
    [...read(path).matchAll(/(?<!npx )\bnode (?:-\S+ )*\S+\.[cm]?[jt]s\b/g)].map(
      ([command]) => `${path}: ${command}`,
    ),
  )
  expect(raw).toEqual([])
})
