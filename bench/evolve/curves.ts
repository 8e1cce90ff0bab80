/** @file Curves over single settings, measured with one seed. */

import type { Workbench } from '../quality/workbench.ts'
import { type Curve, printCurve } from './curves/curve.ts'
import { measureMemory, measureStream } from './curves/growth.ts'
import { measureIntervals } from './curves/intervals.ts'
import { measureOwn, measureShared } from './curves/knobs.ts'
import type { CurveSizes } from './sizes.ts'

export async function measureCurves(bench: Workbench, seed: number, sizes: CurveSizes) {
  const curves: Curve[] = []
  const keep = (...measured: readonly Curve[]) => {
    measured.forEach(printCurve)
    curves.push(...measured)
  }
  keep(await measureStream(bench, seed, sizes))
  const { curve, nights } = await measureMemory(bench, seed, sizes)
  keep(curve)
  keep(...(await measureShared(bench, seed, sizes)))
  keep(...(await measureOwn(bench, seed, sizes)))
  keep(await measureIntervals(bench, seed, sizes))
  return { seed, curves, nights }
}
