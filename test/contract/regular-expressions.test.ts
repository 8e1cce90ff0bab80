/**
 * @file No regular expression of the service takes more than linear time: recheck analyses each one, and each
 * runs over 16,384 characters of hostile text. The list is read from the sources, so that new ones are found.
 */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Node, parseSync, visitorKeys } from 'oxc-parser'
import { checkSync } from 'recheck'
import { expect, test, vi } from 'vitest'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Length of the longest question, and about that of the longest path. */
const TEXT_LENGTH = 16_384
const LIMIT_MS = 50

/** Calls of `RegExp` with a pattern that is not a literal, by file, with the reason why they are safe. */
const COMPUTED: Readonly<Record<string, string>> = {
  'src/algorithms/rewards/read-verdict.ts': 'an escaped literal',
  'src/engine/control-tokens.ts': 'escaped literals',
  'src/engine/model-profile.ts': 'runs on the empty text',
  'src/http/routing-faults.ts': 'patterns of the routes; a test below runs them',
  'src/solving/judging/compile-pattern.ts':
    'patterns of the model directory, which is trusted, on at most 16,384 characters',
}

/** Expressions that take more than linear time, with the bound on their text. */
const TOLERATED: Readonly<Record<string, string>> = {
  'models/order-of-operations/circadian.json :([^;]*);': 'reads at most 128 tokens of the model',
}

interface Expression {
  readonly path: string
  readonly source: string
  readonly flags: string
}

const sources = globSync('src/**/*.{ts,js}', { cwd: ROOT })
  // The page runs in the browser of its reader, on texts that the reader asked for.
  .filter((path) => !path.startsWith('src/onnx/proto/') && !path.startsWith('src/console/built/'))
  .sort()

/** Calls `visit` for the node and for every node below it. */
function walk(node: Node, visit: (node: Node) => void): void {
  visit(node)
  const fields = new Map(Object.entries(node))
  for (const key of visitorKeys[node.type] ?? []) {
    for (const child of [fields.get(key)].flat()) if (child) walk(child as Node, visit)
  }
}

/** Returns the expressions of a file: literals, texts given to `RegExp`, and patterns of schemas. */
function expressionsOf(path: string): { found: Expression[]; computed: boolean } {
  const found: Expression[] = []
  let computed = false
  walk(parseSync(path, read(path)).program, (node) => {
    if (node.type === 'Literal' && 'regex' in node) {
      found.push({ path, source: node.regex.pattern, flags: node.regex.flags })
    }
    if (node.type === 'Property' && node.key.type === 'Identifier' && node.key.name === 'pattern') {
      const { value } = node
      if (value.type === 'Literal' && typeof value.value === 'string') {
        found.push({ path, source: value.value, flags: 'u' })
      }
    }
    if (node.type === 'NewExpression' || node.type === 'CallExpression') {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'RegExp') return
      const [pattern] = node.arguments
      if (pattern?.type === 'Literal' && typeof pattern.value === 'string') {
        found.push({ path, source: pattern.value, flags: '' })
      } else computed = true
    }
  })
  return { found, computed }
}

/** Returns every value under a key `pattern` of a JSON document. */
function patternsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'pattern' && typeof inner === 'string' ? [inner] : patternsIn(inner),
  )
}

const profile = 'models/order-of-operations/circadian.json'
const { answer, format } = JSON.parse(read(profile))
const files = sources.map((path) => ({ path, ...expressionsOf(path) }))

/** The routes' patterns are the source of `patternOf` in src/http/routing-faults.ts, for each kind of route. */
const ROUTES = ['^/docs/static/.*$', '^/admin/artifacts/[^/]+/activate$', '^/openapi\\.yaml$']

const listed: readonly Expression[] = [
  ...files.flatMap(({ found }) => found),
  ...patternsIn(parse(read('openapi.yaml'))).map((source) => ({ path: 'openapi.yaml', source, flags: 'u' })),
  ...ROUTES.map((source) => ({ path: 'src/http/routing-faults.ts', source, flags: '' })),
  ...[answer.pattern, format.restates.question, format.restates.reasoning].map((source: string) => ({
    path: profile,
    source,
    flags: 'g',
  })),
]

/** Each expression once, without those that are tolerated. */
const expressions = [
  ...new Map(listed.map((each) => [`/${each.source}/${each.flags}`, each])).values(),
].filter(({ path, source }) => !(`${path} ${source}` in TOLERATED))

/** Returns `vulnerable`, `safe` or `unknown`, by the checker in JavaScript, which needs no other process. */
function verdictOn({ source, flags }: Pick<Expression, 'source' | 'flags'>): string {
  vi.stubEnv('RECHECK_SYNC_BACKEND', 'pure')
  // Counted steps decide, not the clock: on a busy machine every expression takes a second now and then.
  const untimed = { attackTimeout: null, incubationTimeout: null, seedingTimeout: null }
  return checkSync(source, flags, { ...untimed, timeout: 30_000, checker: 'auto' }).status
}

/** Returns texts of one or two repeated characters that the expression names, with and without another end. */
function hostileTexts(source: string): string[] {
  const named = source.replaceAll(/\\[dwsbpPu]\S?/g, '').replaceAll('\\', '')
  const alphabet = [...new Set([' ', 'a', '1', ...named])].slice(0, 16)
  const units = alphabet.flatMap((one) => alphabet.map((other) => (one === other ? one : one + other)))
  return units.flatMap((unit) => {
    const text = unit.repeat(TEXT_LENGTH / unit.length)
    return [text, `${text.slice(0, -1)}\0`]
  })
}

/** Returns the time, in ms, of a search for every match. */
function searchMs(regex: RegExp, text: string): number {
  const started = performance.now()
  text.replaceAll(regex, '')
  return performance.now() - started
}

test('the list has the expressions of every kind', () => {
  expect(expressions.length).toBeGreaterThan(25)
  const sources = expressions.map(({ source }) => source)
  expect(sources).toEqual(
    expect.arrayContaining([
      ':\\/\\/[^\\s"\'/<>]*@',
      '^rediss?://',
      '^[0-9A-Za-z_-]{1,64}$',
      '\\bans\\s*(\\d)',
      '^/docs/static/.*$',
    ]),
  )
})

test('no other file computes an expression', () => {
  expect(files.filter(({ computed }) => computed).map(({ path }) => path)).toEqual(Object.keys(COMPUTED))
})

test('the checker finds expressions of quadratic time', () => {
  expect(verdictOn({ source: '[.,\\s]+$', flags: '' })).toBe('vulnerable')
  expect(verdictOn({ source: '\\b([a-z][a-z0-9+.-]*:\\/\\/)[^\\s"\'/<>]*@', flags: 'gi' })).toBe('vulnerable')
})

test.each(expressions)('/$source/$flags of $path takes linear time', { timeout: 60_000 }, (expression) => {
  expect(verdictOn(expression)).toBe('safe')
})

test(`each takes less than ${LIMIT_MS} ms on ${TEXT_LENGTH} hostile characters`, { timeout: 120_000 }, () => {
  for (const { path, source, flags } of expressions) {
    // Without `y`, so that the search begins at every character.
    const regex = new RegExp(source, `${flags.replaceAll(/[gy]/g, '')}g`)
    for (const text of hostileTexts(source)) {
      // The machine may be busy: the best of several runs counts.
      let best = searchMs(regex, text)
      for (let run = 0; run < 4 && best >= LIMIT_MS; run++) best = Math.min(best, searchMs(regex, text))
      expect(best, `${path} /${source}/ on ${JSON.stringify(text.slice(0, 8))}`).toBeLessThan(LIMIT_MS)
    }
  }
})
