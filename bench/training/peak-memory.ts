/** @file Peak resident memory of a process. */

import { readFileSync } from 'node:fs'

/**
 * Returns MiB from Linux's VmHWM; NaN on other systems. getrusage would also count the memory that the
 * parent held when it started the process, and the parent here holds the data.
 */
export function peakMemoryMiB(pid: number): number {
  try {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return peak ? Number(peak[1]) / 1024 : Number.NaN
  } catch {
    return Number.NaN
  }
}
