/**
 * @file Curves over settings of requests and profiles: on one shared memory, or on one memory each where
 * episodes depend on it.
 */

import type { SolveDefaults } from '#engine'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import type { Workbench } from '../../quality/workbench.ts'
import { type Arm, BOTH, LATENT_SEEK, MEMORY, measureArm, WEAVER } from '../arms.ts'
import type { CurveSizes } from '../sizes.ts'
import { figuresOf } from '../tally.ts'
import { freshWorld } from '../world.ts'
import type { Curve, Point } from './curve.ts'

/** Curves over top-k, similarity floor and momentum, all on the same memory and weaver. */
export async function measureShared(
  bench: Workbench,
  seed: number,
  sizes: CurveSizes,
): Promise<readonly Curve[]> {
  await using world = await freshWorld(bench)
  await world.live(makeProblems({ split: 'train', count: sizes.remembered, seed }))
  await world.sleep()
  const heldOut = makeProblems({ split: 'heldout', count: sizes.heldOut, seed })
  const unseen = makeProblems({ split: 'unseen', count: sizes.heldOut, seed })
  const point = async (at: Point['at'], arm: Arm, problems = heldOut): Promise<Point> => ({
    at,
    arm: arm.name,
    figures: figuresOf([await measureArm(world, arm, problems)]),
  })

  const neighbours: Point[] = []
  for (const topK of sizes.topK) {
    neighbours.push(await point(topK, { ...MEMORY, ask: { ...MEMORY.ask, retrieval: { topK } } }))
  }
  const floors: Point[] = []
  for (const minSimilarity of sizes.minSimilarity) {
    const arm = { ...MEMORY, ask: { ...MEMORY.ask, retrieval: { minSimilarity } } }
    floors.push(await point(minSimilarity, { ...arm, name: 'known families' }))
    floors.push(await point(minSimilarity, { ...arm, name: 'unseen families' }, unseen))
  }
  const none = 'no memory (LatentSeek)'
  floors.push(await point(none, { ...LATENT_SEEK, name: 'known families' }))
  floors.push(await point(none, { ...LATENT_SEEK, name: 'unseen families' }, unseen))
  const momenta: Point[] = [await point('no memory', WEAVER)]
  for (const momentum of ['residual', 'paper'] as const) {
    momenta.push(await point(momentum, { ...BOTH, defaults: { momentum } }))
  }
  return [
    { title: 'Neighbours', over: 'top-k', points: neighbours },
    { title: 'Similarity floor', over: 'floor', points: floors },
    { title: 'Momentum, with a weaver', over: 'momentum', points: momenta },
  ]
}

/** Curves over latents and margin steps; episodes depend on them, so each value has a memory of its own. */
export async function measureOwn(
  bench: Workbench,
  seed: number,
  sizes: CurveSizes,
): Promise<readonly Curve[]> {
  const sweep = async (name: 'latents' | 'marginSteps', title: string): Promise<Curve> => {
    const points: Point[] = []
    for (const at of sizes[name]) points.push(...(await measureOne(bench, seed, sizes, { [name]: at }, at)))
    return { title, over: name, points }
  }
  return [
    await sweep('latents', 'Latents that are moved and remembered'),
    await sweep('marginSteps', 'Margin steps before an episode is kept'),
  ]
}

async function measureOne(
  bench: Workbench,
  seed: number,
  { remembered, heldOut: count }: CurveSizes,
  changes: Partial<SolveDefaults>,
  at: number,
): Promise<readonly Point[]> {
  await using world = await freshWorld(bench, changes)
  await world.live(makeProblems({ split: 'train', count: remembered, seed }))
  const { status, explained } = await world.sleep()
  const heldOut = makeProblems({ split: 'heldout', count, seed })
  const points: Point[] = []
  for (const arm of [MEMORY, WEAVER]) {
    const figures = figuresOf([await measureArm(world, arm, heldOut)])
    const more = { night: status, explained: explained ?? '' }
    points.push({ at, arm: arm.name, figures, more })
  }
  return points
}
