/** @file Counts what stands in the files of src/, from their syntax trees. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Node, parseSync, visitorKeys } from 'oxc-parser'
import { crossesWall, importedFile, importsOf, takesOwnedPackage } from '../rooms.ts'

export interface Sources {
  readonly files: readonly string[]
  readonly lines: ReadonlyMap<string, number>
  /** Files of at most 25 lines that are not doors. */
  readonly small: readonly string[]
  /** Functions and closures over 100 lines, as `path:line (lines)`. */
  readonly longFunctions: readonly string[]
  /** Docstrings that begin with "Of", "What" or "How", as `path:line text`. */
  readonly fragments: readonly string[]
  /** Spreads of object literals in src/, bench/, scripts/ and test/, as `path:line`. */
  readonly spreads: readonly string[]
  /** Groups of files that import each other, imports of types alone included. */
  readonly cycles: readonly string[]
  /** Imports of rooms and packages that a room may not import. */
  readonly crossings: readonly string[]
}

const GENERATED = /^src\/onnx\/proto\//
const SMALL_LINES = 25
const MAX_FUNCTION_LINES = 100
const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']

/** Reads and counts every file of src/ in the checkout `root`, generated ones left out. */
export function readSources(root: string): Sources {
  const doors: Record<string, string> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).imports
  const files = globSync('src/**/*.{ts,js}', { cwd: root })
    .filter((path) => !GENERATED.test(path))
    .sort()
  const lines = new Map<string, number>()
  const targets = new Map<string, string[]>()
  const longFunctions: string[] = []
  const fragments: string[] = []
  const spreads: string[] = []
  const crossings: string[] = []

  for (const path of files) {
    const source = readFileSync(join(root, path), 'utf8')
    const lineOf = (offset: number) => source.slice(0, offset).split('\n').length
    lines.set(path, source.trimEnd().split('\n').length)

    const specifiers = importsOf(source)
    targets.set(
      path,
      specifiers.map((each) => importedFile(path, each, doors)).filter((each) => each !== null),
    )
    for (const each of specifiers) {
      if (crossesWall(path, each) || takesOwnedPackage(path, each)) crossings.push(`${path} imports ${each}`)
    }

    const { program, comments, errors } = parseSync(path, source)
    if (errors[0]) throw new Error(`${path}: expected TypeScript, got ${errors[0].message}`)
    for (const { type, value, start } of comments) {
      const text = value.replace(/^[\s*]*(?:@file\s+)?/, '')
      if (type === 'Block' && value.startsWith('*') && /^(?:Of|What|How)\b/.test(text)) {
        fragments.push(`${path}:${lineOf(start)} ${text.split('\n')[0]?.trim()}`)
      }
    }
    for (const node of nodesOf(program)) {
      if (FUNCTIONS.includes(node.type)) {
        const length = lineOf(node.end) - lineOf(node.start) + 1
        if (length > MAX_FUNCTION_LINES) longFunctions.push(`${path}:${lineOf(node.start)} (${length})`)
      }
    }
  }

  for (const path of globSync('{src,bench,scripts,test}/**/*.ts', { cwd: root }).sort()) {
    const source = readFileSync(join(root, path), 'utf8')
    for (const node of nodesOf(parseSync(path, source).program)) {
      if (node.type === 'SpreadElement' && node.argument.type === 'ObjectExpression') {
        spreads.push(`${path}:${source.slice(0, node.start).split('\n').length}`)
      }
    }
  }

  const small = files.filter((path) => lines.get(path)! <= SMALL_LINES && !path.endsWith('/index.ts'))
  return { files, lines, small, longFunctions, fragments, spreads, cycles: cyclesOf(targets), crossings }
}

/** The node and all below it. */
function* nodesOf(node: Node): Generator<Node> {
  yield node
  for (const key of visitorKeys[node.type] ?? []) {
    const child = (node as unknown as Record<string, Node | readonly (Node | null)[] | null>)[key]
    for (const each of [child ?? null].flat()) if (each) yield* nodesOf(each)
  }
}

/** Strongly connected groups of more than one file. */
function cyclesOf(targets: ReadonlyMap<string, readonly string[]>): string[] {
  const reached = new Map([...targets.keys()].map((path) => [path, reachable(path, targets)]))
  const groups = [...reached].map(([path, files]) =>
    [...files]
      .filter((other) => reached.get(other)?.has(path))
      .sort()
      .join(', '),
  )
  return [...new Set(groups)].filter((group) => group !== '')
}

/** Files that `path` imports, directly or through others; with itself only when it stands on a cycle. */
function reachable(path: string, targets: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>()
  const open = [path]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const target of targets.get(next) ?? []) {
      if (found.has(target)) continue
      found.add(target)
      open.push(target)
    }
  }
  return found
}
