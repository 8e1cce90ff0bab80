/** @file The most memory that a process has had in use. */

import { readFileSync } from 'node:fs'

/**
 * In MiB, from Linux; NaN elsewhere. Not what getrusage says: that counts what a parent held when it started the process, and
 * the parent here holds the data.
 */
export function peakMemoryMiB(pid: number): number {
  try {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return peak ? Number(peak[1]) / 1024 : Number.NaN
  } catch {
    return Number.NaN
  }
}
