/** @file Stopwatch that sums the milliseconds spent in wrapped functions, by name. */

export interface Stopwatch<Name extends string> {
  wrap<Args extends unknown[], Result>(name: Name, run: (...args: Args) => Result): (...args: Args) => Result
  /**
   * Wraps an async function. Overlapping calls count once: the time during which at least one was running.
   */
  wrapAsync<Args extends unknown[], Result>(
    name: Name,
    run: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result>
  /** Milliseconds by name; `any` is the time during which any of them was running. */
  read(): Readonly<Record<string, number>>
  reset(): void
}

interface Watch {
  ms: number
  open: number
  since: number
}

const ANY = 'any'

export function createStopwatch<Name extends string>(names: readonly Name[]): Stopwatch<Name> {
  const watches = new Map<string, Watch>([...names, ANY].map((name) => [name, { ms: 0, open: 0, since: 0 }]))
  function start(name: Name): () => void {
    const started = [watches.get(name), watches.get(ANY)].filter((watch) => watch !== undefined)
    const now = performance.now()
    for (const watch of started) {
      if (watch.open === 0) watch.since = now
      watch.open += 1
    }
    return () => {
      const then = performance.now()
      for (const watch of started) {
        watch.open -= 1
        if (watch.open === 0) watch.ms += then - watch.since
      }
    }
  }
  return {
    wrap:
      (name, run) =>
      (...args) => {
        const stop = start(name)
        try {
          return run(...args)
        } finally {
          stop()
        }
      },
    wrapAsync:
      (name, run) =>
      async (...args) => {
        const stop = start(name)
        try {
          return await run(...args)
        } finally {
          stop()
        }
      },
    read: () => Object.fromEntries([...watches].map(([name, { ms }]) => [name, ms])),
    reset() {
      for (const watch of watches.values()) watch.ms = 0
    },
  }
}
