/** @file Times of the tasks of a page's main thread, for tests of pages that must not freeze. */

import type { Page } from 'playwright-core'

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  readonly args: { readonly name?: string }
  /** Microseconds by the clock, and those of the processor alone: other programs do not count there. */
  readonly dur?: number
  readonly tdur?: number
}

/** Records the tasks of the page's main thread. @returns function that stops, and returns the longest, in ms */
export async function watchTasks(page: Page) {
  const session = await page.context().newCDPSession(page)
  const events: TraceEvent[] = []
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])))
  await session.send('Tracing.start', { categories: 'toplevel,__metadata' })
  return async () => {
    const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve))
    await session.send('Tracing.end')
    await complete
    const main = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    const tasks = events.filter(
      ({ ph, pid, tid }) => ph === 'X' && main.some((thread) => thread.pid === pid && thread.tid === tid),
    )
    const longest = (of: (task: TraceEvent) => number | undefined) =>
      Math.max(...tasks.map((task) => (of(task) ?? 0) / 1_000))
    return { tasks: tasks.length, wallMs: longest(({ dur }) => dur), cpuMs: longest(({ tdur }) => tdur) }
  }
}
