/** @file Progress lines of a long bench on stderr; stdout is for results. */

export function progress(done: string): void {
  console.error(`${Math.round(performance.now() / 1000)} s: ${done}`)
}
