/** @file Gradient of broadcasting: sums over the axes along which a value was repeated. */

import type { Formulas } from '../formulas.ts'
import type { Size } from '../shapes/sizes.ts'
import type { Primal } from './vjp-rule.ts'

/**
 * Sums `value`, of shape `from`, over the axes along which input `x` was repeated. The result has the shape
 * of `x`.
 * @throws ServiceError NOT_DIFFERENTIABLE when symbols leave open which axes were repeated.
 */
export function unbroadcast(
  f: Formulas,
  primal: Primal,
  value: string,
  from: readonly Size[],
  x: string,
): string {
  const to = primal.shape(x)
  const added = from.length - to.length
  const leading = Array.from({ length: added }, (_, axis) => axis)
  const stretched = to.flatMap((size, axis) => {
    const repeated = from[axis + added]!
    if (size === repeated) return []
    if (size === 1) return [axis + added]
    throw primal.refusal(
      `sizes of "${x}" that determine which axes were broadcast`,
      `[${to}] broadcast to [${from}]`,
    )
  })
  if (stretched.length === 0) return added === 0 ? value : f.sum(value, leading, false)
  const summed = f.sum(value, [...leading, ...stretched])
  return added === 0 ? summed : f.squeeze(summed, leading)
}
