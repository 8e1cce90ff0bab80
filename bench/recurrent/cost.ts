/** @file Time of one recurrence of one row in the engine, at batches of 1 and 16, beside one PyTorch loop. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Engine } from '#engine'
import { writePrompt } from '../../src/solving/prompt.ts'
import { quantile } from '../report/statistics.ts'
import type { Problem } from './problems.ts'

const REPEATS = 30

export interface Cost {
  readonly batch: number
  /** Milliseconds per recurrence and row: of a whole prompt, and of one token behind its cache. */
  readonly promptMs: number
  readonly tokenMs: number
  readonly promptTokens: number
}

/**
 * Medians. A run of R recurrences less one of a few is the time of the recurrences alone: prelude, coda, caches and
 * messages cancel. No prompt is known to the engine before it is timed.
 */
export async function measureCost(
  engine: Engine,
  problems: readonly Problem[],
  batch: number,
): Promise<Cost> {
  const { maxSteps } = engine.model.profile.recurrence!
  const few = Math.max(1, Math.floor(maxSteps / 8))
  const longest = Math.max(...problems.map(({ question }) => question.length))
  const long = problems.filter(({ question }) => question.length >= 0.8 * longest)
  const times = {
    [few]: { prompt: [] as number[], token: [] as number[] },
    [maxSteps]: { prompt: [] as number[], token: [] as number[] },
  }
  let promptTokens = 0
  for (let repeat = -3; repeat < REPEATS; repeat++) {
    for (const steps of [few, maxSteps]) {
      const sessions = await Promise.all(
        Array.from({ length: batch }, async (_, row) => {
          const { question } = long[(repeat * batch + row + 3 * batch) % long.length]!
          const { tokens } = writePrompt({ question }, engine.codec, engine.model.profile)
          // A token in front makes the prompt unknown.
          const prompt = [((repeat + 3) * batch + row) % 17, ...tokens].slice(0, 24)
          promptTokens = prompt.length
          return await engine.open(prompt, { signal: new AbortController().signal, thinking: { steps } })
        }),
      )
      const began = performance.now()
      await Promise.all(sessions.map((session) => session.embed()))
      const fed = performance.now()
      const suffix = engine.codec.encode(long[0]!.question).slice(0, 1)
      await Promise.all(sessions.map((session) => session.score([{ sequence: session.prompt, suffix }], [0])))
      const scored = performance.now()
      for (const session of sessions) session.close()
      if (repeat < 0) continue
      times[steps]!.prompt.push(fed - began)
      times[steps]!.token.push(scored - fed)
    }
  }
  const perRecurrence = (part: 'prompt' | 'token') =>
    (quantile(times[maxSteps]![part], 0.5) - quantile(times[few]![part], 0.5)) / (maxSteps - few) / batch
  return { batch, promptMs: perRecurrence('prompt'), tokenMs: perRecurrence('token'), promptTokens }
}

/** Figures of reference-loop.py in the model directory; null without PyTorch or the model's checkpoint. */
export async function referenceCost(python: string, directory: string): Promise<readonly object[] | null> {
  try {
    const { stdout } = await promisify(execFile)(python, [join(directory, 'reference-loop.py')], {
      env: { ...process.env, OMP_NUM_THREADS: '1' },
    })
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
  } catch {
    return null
  }
}
