/**
 * @file Curves over the size of the memory: speed of learning, accuracy, retrieval time and cost of a night.
 */

import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import type { Workbench } from '../../quality/workbench.ts'
import { quantile } from '../../report/statistics.ts'
import { printTable } from '../../report/table.ts'
import { LATENT_SEEK, MEMORY, measureArm } from '../arms.ts'
import type { CurveSizes } from '../sizes.ts'
import { figuresOf, tallyOf } from '../tally.ts'
import { freshWorld, type World } from '../world.ts'
import type { Curve, Point } from './curve.ts'

/** Test, then learn: every problem is new and stored at once. No night takes place. */
export async function measureStream(
  bench: Workbench,
  seed: number,
  { stream, bin }: CurveSizes,
): Promise<Curve> {
  await using world = await freshWorld(bench)
  const problems = makeProblems({ split: 'train', count: stream, seed })
  const points: Point[] = []
  for (let first = 0; first < stream; first += bin) {
    const asked = problems.slice(first, first + bin)
    const sought = await measureArm(world, LATENT_SEEK, asked)
    const solved = await world.live(asked)
    const at = `${first + 1} to ${first + asked.length}`
    points.push(
      { at, arm: 'memory as it grows', figures: figuresOf([solved.map(tallyOf)]) },
      { at, arm: LATENT_SEEK.name, figures: figuresOf([sought]) },
    )
  }
  return { title: 'Test, then learn: within one day, no night', over: 'problems', points }
}

/**
 * Figures on held-out problems by memory size, and a night at each size that starts from the previous size's
 * weaver.
 */
export async function measureMemory(bench: Workbench, seed: number, sizes: CurveSizes) {
  await using world = await freshWorld(bench)
  const heldOut = makeProblems({ split: 'heldout', count: sizes.heldOut, seed })
  const stream = makeProblems({ split: 'train', count: Math.max(...sizes.memory), seed })
  const points: Point[] = []
  const nights = []
  let size = 0
  for (const next of sizes.memory) {
    await world.live(stream.slice(size, next), { weaver: false })
    size = next
    const figures = figuresOf([await measureArm(world, MEMORY, heldOut)])
    const retrievalMs = await timeRetrieval(world, seed, sizes.retrievals)
    points.push({
      at: size,
      arm: MEMORY.name,
      figures,
      more: { 'retrieval p50 ms': quantile(retrievalMs, 0.5), 'p99 ms': quantile(retrievalMs, 0.99) },
    })
    if (size > 0) nights.push(await world.sleep())
  }
  printTable(
    'What a night costs',
    ['episodes', 'seconds', 'trainer MiB', 'explained', 'gate', 'its word'],
    nights.map(({ episodes, seconds, trainerMiB, explained, status, reason }) => [
      ...[episodes, seconds, trainerMiB ?? '', explained ?? '', status, reason ?? ''],
    ]),
  )
  const curve: Curve = { title: 'By what is remembered', over: 'problems remembered', points }
  return { curve, nights }
}

/** Milliseconds of each retrieval, one request at a time. */
async function timeRetrieval(world: World, seed: number, count: number): Promise<readonly number[]> {
  const problems = makeProblems({ split: 'heldout', count, seed: seed + 1000 })
  const solver = world.solver()
  const times: number[] = []
  for (const { question } of problems) {
    const { timings } = await solver.solve(
      { tenantId: 'bench', question, strategy: 'auto', learn: false, explain: false, seed: 0 },
      { signal: new AbortController().signal },
    )
    times.push(timings.retrieveMs)
  }
  return times
}
