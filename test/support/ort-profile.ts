/** @file Reads the nodes that ran from a profile of ONNX Runtime. */

import { glob, readFile } from 'node:fs/promises'

export interface ProfiledNode {
  readonly name: string
  readonly opType: string
  /** `CPUExecutionProvider`, `CUDAExecutionProvider`, ... */
  readonly provider: string
  readonly outputBytes: number
  /** Microseconds since the beginning of the profile. */
  readonly startedAt: number
  readonly microseconds: number
}

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly ts: number
  readonly dur: number
  readonly args?: Readonly<Record<string, unknown>>
}

/** Returns every run of every node, including those in loop bodies, from the one profile under `prefix`. */
export async function readProfile(prefix: string): Promise<ProfiledNode[]> {
  const files = await Array.fromAsync(glob(`${prefix}*.json`))
  if (files.length !== 1) throw new Error(`profile: expected one file ${prefix}*.json, got ${files.length}`)
  const events: ProfileEvent[] = JSON.parse(await readFile(files[0]!, 'utf8'))
  return events
    .filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
    .map(({ name, ts, dur, args = {} }) => ({
      name: name.replace(/_kernel_time$/, ''),
      opType: String(args['op_name']),
      provider: String(args['provider']),
      outputBytes: Number(args['output_size'] ?? 0),
      startedAt: ts,
      microseconds: dur,
    }))
}

/** Copies between host and device of at least `bytes`. */
export function copiesOf(nodes: readonly ProfiledNode[], bytes: number): readonly ProfiledNode[] {
  return nodes.filter(({ opType, outputBytes }) => opType.startsWith('Memcpy') && outputBytes >= bytes)
}
