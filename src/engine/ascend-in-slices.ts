/**
 * @file Divides an ascent into calls of bounded duration, so that one request neither stops the decoding of
 * the others nor goes on after its caller has left.
 */

import type { AscentRequest, AscentResult } from '#ports'

/** Upper bound, in ms, on the updates of one call, unless a single update takes longer. */
export const MAX_ASCENT_MS = 100

/** Whether the ascent ends because `tokens` differ from its actions. */
export function hasChanged(
  { untilChanged, actions }: Pick<AscentRequest, 'untilChanged' | 'actions'>,
  tokens: readonly number[],
): boolean {
  return untilChanged && tokens.some((token, index) => token !== actions[0]![index])
}

/**
 * Calls `ascend`, which may do fewer updates than asked for, until the request is fulfilled. The result is that
 * of one call. @throws any error of `ascend`, which checks the caller's signal
 */
export async function ascendInSlices(
  request: AscentRequest,
  ascend: (slice: AscentRequest) => Promise<AscentResult>,
): Promise<AscentResult> {
  let result = await ascend(request)
  while (result.steps < request.maxSteps && !hasChanged(request, result.tokens)) {
    const { latents, adam, steps } = result
    const next = await ascend({ ...request, latents, adam, maxSteps: request.maxSteps - steps })
    result = { ...next, steps: steps + next.steps }
  }
  return result
}
