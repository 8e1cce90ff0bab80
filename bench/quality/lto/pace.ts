/** @file Time of N samples beside the time of one greedy draft. */

import type { Solver } from '#solving'
import type { Problem } from '../../../models/order-of-operations/problems.ts'
import { quantile } from '../../report/statistics.ts'
import { printTable } from '../../report/table.ts'

export interface Pace {
  readonly n: number
  readonly greedyMs: number
  readonly samplesMs: number
  readonly ratio: number
}

/**
 * Medians of alternating requests, one at a time. Each problem is asked once, so every request pays its
 * prefill.
 */
export async function measurePace(
  solver: Solver,
  problems: readonly Problem[],
  samples: number,
): Promise<Pace> {
  const times = { greedy: [] as number[], lto: [] as number[] }
  const { signal } = new AbortController()
  const warmUp = 8
  for (const [index, { question }] of problems.entries()) {
    const strategy = index % 2 === 0 ? 'greedy' : 'lto'
    const request = { tenantId: 'bench', question, strategy, samples, learn: false, explain: false } as const
    const { timings } = await solver.solve({ ...request, seed: index }, { signal })
    if (index >= warmUp) times[strategy].push(timings.draftMs)
  }
  const [greedyMs, samplesMs] = [quantile(times.greedy, 0.5), quantile(times.lto, 0.5)]
  const pace = { n: times.lto.length, greedyMs, samplesMs, ratio: samplesMs / greedyMs }
  printTable(
    `Time of ${samples} samples in one run, latent thoughts included`,
    ['n', 'greedy p50 ms', 'samples p50 ms', 'ratio'],
    [[pace.n, greedyMs, samplesMs, pace.ratio]],
  )
  return pace
}
