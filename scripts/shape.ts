/**
 * @file Counts the shape of src/ and prints it as a Markdown table: what one request runs, and what a reader meets.
 *
 * `npm run --silent shape -- [--strategy latentseek] [--root DIR] [--list]`
 *
 * `--root` counts another checkout, which needs its own node_modules; `--list` also prints the place of everything counted.
 *
 * Code of a request: V8 counts the calls of functions between a request and its response, for README's question with seed 7,
 * in the API process and in the engine process, not in worker threads. Functions that the idle service calls too, on its
 * timers, are left out.
 *
 * "Files a reader opens" are the files of that count in the rooms that answer: routes, solving, serving, consolidation,
 * algorithms, SQL of the episodes. They leave out the engine, the rest of HTTP, the database, arithmetic, and files that only
 * declare types, because no code of these runs.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readSources } from './shape/count-source.ts'
import { measureRequest } from './shape/measure-request.ts'

/** Beginnings of the paths that a reader opens to follow a request. */
const READ = [
  'src/http/routes/',
  'src/solving/',
  'src/serving/',
  'src/consolidation/',
  'src/algorithms/',
  'src/episodes/sql/',
]

const { values } = parseArgs({
  options: {
    strategy: { type: 'string', default: 'latentseek' },
    root: { type: 'string', default: join(import.meta.dirname, '..') },
    list: { type: 'boolean', default: false },
  },
})

const sources = readSources(values.root)
const called = await measureRequest(values.root, values.strategy)
const ran = [...new Set(called.map(({ path }) => path))].sort()
const opened = ran.filter((path) => READ.some((beginning) => path.startsWith(beginning)))
const linesOf = (paths: readonly string[]) =>
  paths.reduce((sum, path) => sum + (sources.lines.get(path) ?? 0), 0)
const under = (folder: string) => sources.files.filter((path) => path.startsWith(folder))

const rows: readonly (readonly [what: string, count: number, places?: readonly string[]])[] = [
  [`files whose code one \`${values.strategy}\` request runs`, ran.length, byRoom(ran)],
  ['functions that it calls', called.length],
  ['lines of those files', linesOf(ran)],
  ['files a reader opens', opened.length, opened],
  ['lines of those files', linesOf(opened)],
  [
    'files a reader opens, without algorithms/',
    opened.filter((path) => !path.startsWith('src/algorithms/')).length,
  ],
  ['files of src/', sources.files.length],
  ['lines of src/', linesOf(sources.files)],
  ['files of src/solving/', under('src/solving/').length],
  ['files of 25 lines or fewer', sources.small.length, sources.small],
  ['functions over 100 lines', sources.longFunctions.length, sources.longFunctions],
  ['docstrings that begin with "Of", "What" or "How"', sources.fragments.length, sources.fragments],
  ['spreads of object literals, tests and benches included', sources.spreads.length, sources.spreads],
  ['import cycles between files', sources.cycles.length, sources.cycles],
  ['imports that cross a wall', sources.crossings.length, sources.crossings],
]
const lines = ['| what | count |', '| --- | ---: |', ...rows.map(([what, count]) => `| ${what} | ${count} |`)]
for (const [what, , places] of values.list ? rows : []) {
  if (places?.length) lines.push('', `${what}:`, ...places.map((place) => `- ${place}`))
}
process.stdout.write(`${lines.join('\n')}\n`)

/** Files grouped by their folder directly under src/. */
function byRoom(paths: readonly string[]): string[] {
  const groups = Object.entries(Object.groupBy(paths, (path) => path.split('/')[1] ?? ''))
  return groups.map(([room, files = []]) => `${room} ${files.length}: ${files.join(', ')}`)
}
