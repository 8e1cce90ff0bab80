/**
 * @file Machine, versions, commit and date of a run: printed by every bench and stored by every `--json`.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

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
  const root = new URL('../..', import.meta.url)
  const runtime = JSON.parse(
    readFileSync(new URL('node_modules/onnxruntime-node/package.json', root), 'utf8'),
  ) as { version: string }
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

function currentCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'no git'
  }
}
