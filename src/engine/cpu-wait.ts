/** @file The time for which a process was ready to run and got no CPU, as Linux counts it. */

import { readdirSync, readFileSync } from 'node:fs'

/** Times of a thread so far, in ms. */
interface ThreadTimes {
  readonly ran: number
  /** Time of waiting for a CPU, up to the last time that the thread got one. */
  readonly waited: number
  readonly isReady: boolean
}

/**
 * Returns a function that returns the time, in ms, for which a thread of the process has waited for a CPU since the
 * call before: the most that one thread has waited. 0 where the kernel does not count it. A process that is stopped,
 * or stuck in a driver or a lock, waits for no CPU; one that loops for ever gets one.
 */
export function createCpuWait(pid: number): () => number {
  let before = readTimes(pid)
  let readAt = performance.now()
  return () => {
    const times = readTimes(pid)
    const now = performance.now()
    const waits = [...times].map(([thread, { ran, waited, isReady }]) => {
      const last = before.get(thread)
      if (last === undefined) return 0
      // The kernel counts a wait when it is over.
      return Math.max(waited - last.waited, isReady ? now - readAt - (ran - last.ran) : 0)
    })
    before = times
    readAt = now
    return Math.max(0, ...waits)
  }
}

/** Returns the times of each thread; empty when they are not known. */
function readTimes(pid: number): Map<string, ThreadTimes> {
  const times = new Map<string, ThreadTimes>()
  const folder = `/proc/${pid}/task`
  try {
    for (const thread of readdirSync(folder)) {
      const read = (name: string) => readFileSync(`${folder}/${thread}/${name}`, 'utf8')
      const [ran, waited] = read('schedstat').split(' ')
      // The state stands after the name of the thread, which may contain brackets.
      const isReady = read('stat').split(') ').at(-1)?.startsWith('R') ?? false
      times.set(thread, { ran: Number(ran) / 1e6, waited: Number(waited) / 1e6, isReady })
    }
  } catch {
    // Another operating system, a kernel without these counters, or a thread or process that has ended.
  }
  return times
}
