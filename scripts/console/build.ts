/** @file Bundles the sources of the console. The same sources give the same bytes. */

import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'rolldown'

const ROOT = join(import.meta.dirname, '../..')
const SOURCES = join(ROOT, 'console')

/** Folder of the files that the service sends. */
export const BUILT = join(ROOT, 'src/console/built')

const NOTICE =
  '/*! Circadian console, Apache-2.0. Contains Preact, uPlot, openapi-fetch, eventsource-parser (all MIT). Built from console/ by `npm run console:build`. */'

/** Returns the text of each file of the page, by name. */
export async function buildConsole(): Promise<ReadonlyMap<string, string>> {
  const bundle = await build({
    input: join(SOURCES, 'src/main.tsx'),
    cwd: ROOT,
    platform: 'browser',
    tsconfig: false,
    transform: { jsx: { runtime: 'automatic', importSource: 'preact' }, target: 'es2023' },
    output: { format: 'esm', minify: true, codeSplitting: false, comments: { legal: false } },
    logLevel: 'silent',
    write: false,
  })
  const [script, ...others] = bundle.output
  if (others.length > 0) throw new Error(`console: expected one script, got ${bundle.output.length} files`)
  return new Map([
    ['console.js', `${NOTICE}\n${script.code}`],
    ['console.css', await styles()],
    ['console.html', await readFile(join(SOURCES, 'console.html'), 'utf8')],
    ['icon.svg', await readFile(join(SOURCES, 'icon.svg'), 'utf8')],
  ])
}

/** Returns all style sheets as one: that of uPlot, `style/base.css`, then the others by name. */
async function styles(): Promise<string> {
  const files = globSync('style/*.css', { cwd: SOURCES }).sort(
    (a, b) => Number(b.endsWith('/base.css')) - Number(a.endsWith('/base.css')) || (a < b ? -1 : 1),
  )
  const paths = [
    join(ROOT, 'node_modules/uplot/dist/uPlot.min.css'),
    ...files.map((file) => join(SOURCES, file)),
  ]
  return (await Promise.all(paths.map((path) => readFile(path, 'utf8')))).join('\n')
}
