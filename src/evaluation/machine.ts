/**
 * @file Machine, versions, commit and date of a run: in the report of every evaluation, printed by every bench and
 * stored by every `--json`.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  readonly onnxruntime: string
  readonly commit: string
  readonly date: string
}

export function describeMachine(): Machine {
  const manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  const runtime = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    onnxruntime: runtime.version,
    commit: currentCommit(),
    date: new Date().toISOString().slice(0, 10),
  }
}

/** Commit of the sources, not of the folder in which the command runs. */
function currentCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'no git'
  }
}
