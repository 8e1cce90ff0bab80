/**
 * @file The quick start of a README, for .ci/newcomer. Plain JavaScript, because the Node of the machine runs it.
 *
 * `node quick-start.mjs blocks README.md FOLDER` writes the fenced blocks of "## Quick start" to FOLDER, numbered in their
 * order: `1.sh` is a command, `2.json` the answer that the README prints for the command before it.
 * `node quick-start.mjs check OUTPUT [EXPECTED]` fails unless OUTPUT holds JSON lines, none of them an error reply, and has
 * every field of EXPECTED.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Upper bound on the difference of two numbers: processors round differently. */
const TOLERANCE = 1e-5

const [mode, first, second] = process.argv.slice(2)
const read = (path) => readFileSync(path, 'utf8')

if (mode === 'blocks') {
  const section =
    read(first)
      .split(/^## Quick start$/m)[1]
      ?.split(/^## /m)[0] ?? ''
  const blocks = [...section.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block]) => block)
  blocks.forEach((block, index) => {
    const kind = block.startsWith('{') ? 'json' : 'sh'
    writeFileSync(join(second, `${index + 1}.${kind}`), block)
  })
} else {
  const replies = read(first).trim().split('\n').map(parse)
  const failed = replies.find(({ status }) => typeof status === 'number' && status >= 400)
  if (failed) throw new Error(`quick start: expected a reply, got ${JSON.stringify(failed)}`)
  if (second !== undefined) compare(replies[0], parse(read(second)), 'reply')
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`quick start: expected JSON, got ${text}`, { cause })
  }
}

/** Compares the printed fields only; the README shortens replies. */
function compare(actual, printed, path) {
  if (typeof printed === 'object' && printed !== null) {
    if (Array.isArray(printed)) compare(actual?.length, printed.length, `${path}.length`)
    for (const [key, value] of Object.entries(printed)) compare(actual?.[key], value, `${path}.${key}`)
  } else if (typeof printed === 'number' ? !(Math.abs(actual - printed) <= TOLERANCE) : actual !== printed) {
    throw new Error(`${path}: expected ${JSON.stringify(printed)}, got ${JSON.stringify(actual)}`)
  }
}
