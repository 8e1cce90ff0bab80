/** @file Progress of files that are fetched: a bar with the time left on a terminal, else a line for each file. */

import { formatBytes } from './format-report.ts'

export interface Progress {
  /** Begins a file of `bytes`, of which `done` are there already. */
  begin(path: string, bytes: number, done: number): void
  add(bytes: number): void
  /** Ends the file, whether it is complete or not. */
  end(): void
}

export interface ProgressStream {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const BAR_WIDTH = 24
const REDRAW_MS = 100

/** @param now clock in ms, `performance.now` by default */
export function createProgress(
  stream: ProgressStream,
  now: () => number = () => performance.now(),
): Progress {
  let file = { path: '', bytes: 0, before: 0, startMs: 0 }
  let done = 0
  let drawnMs = 0

  function draw(): void {
    const seconds = (now() - file.startMs) / 1000
    const rate = seconds > 0 ? (done - file.before) / seconds : 0
    const share = file.bytes === 0 ? 1 : done / file.bytes
    const left =
      rate > 0 ? `, ${formatBytes(Math.round(rate))}/s, ${timeLeft((file.bytes - done) / rate)} left` : ''
    drawBar(stream, share, `of ${formatBytes(file.bytes)}${left}  ${file.path}`)
  }

  return {
    begin(path, bytes, before) {
      file = { path, bytes, before, startMs: now() }
      done = before
      if (stream.isTTY) {
        drawnMs = now()
        draw()
        return
      }
      const rest = before === 0 ? '' : `, from byte ${before} on`
      stream.write(`fetching ${path} (${formatBytes(bytes)}${rest})\n`)
    },
    add(bytes) {
      done += bytes
      if (!stream.isTTY || now() - drawnMs < REDRAW_MS) return
      drawnMs = now()
      draw()
    },
    end() {
      if (!stream.isTTY) return
      draw()
      stream.write('\n')
    },
  }
}

/** Draws a bar over the line that the stream is in; `share` of the work is done, in [0, 1]. */
export function drawBar(stream: ProgressStream, share: number, text: string): void {
  const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.')
  // The end of the line is erased: the line before may have been longer.
  stream.write(`\r[${bar}] ${Math.floor(share * 100)}% ${text}\u001b[K`)
}

/** Writes a time that is left, rounded up: `40 s`, `12 min`, `1.5 h`. */
export function timeLeft(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  return whole < 3600 ? `${Math.ceil(whole / 60)} min` : `${(whole / 3600).toFixed(1)} h`
}
