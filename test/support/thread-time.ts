/** @file Time of the processor that a function takes, whatever else runs on the machine. */

/** Returns the shortest of five runs, in ms of processor time of this thread. */
export function threadTime(work: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const before = process.threadCpuUsage()
    work()
    const { user, system } = process.threadCpuUsage(before)
    return (user + system) / 1000
  })
  return Math.min(...times)
}
