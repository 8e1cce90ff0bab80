/** @file What a long bench is doing, on stderr: stdout is for results. */

export function progress(done: string): void {
  console.error(`${Math.round(performance.now() / 1000)} s: ${done}`)
}
