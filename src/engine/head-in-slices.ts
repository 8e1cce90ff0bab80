/**
 * @file Divides calls of the LM head into calls of bounded duration, so that one request neither stops the decoding
 * of the others nor goes on after its caller has left. The head treats every position by itself, so positions can be
 * served one after the other.
 */

import type { AscentRequest, AscentResult, Latents } from '#ports'

/**
 * Upper bound, in ms, on the work of one call, unless the least number of positions (`MIN_HEAD_POSITIONS`) takes
 * longer.
 */
export const MAX_HEAD_MS = 100

/**
 * Number of positions that every call serves: on fewer, reading the matrix of the head takes most of the time (on a
 * vocabulary of 152k and a width of 896, an update of 4, 16 and 64 positions took 460, 560 and 1,890 ms on busy cores).
 */
export const MIN_HEAD_POSITIONS = 16

/** Whether the ascent ends because `tokens` differ from its actions. */
export function hasChanged(
  { untilChanged, actions }: Pick<AscentRequest, 'untilChanged' | 'actions'>,
  tokens: readonly number[],
): boolean {
  return untilChanged && tokens.some((token, index) => token !== actions[0]![index])
}

/**
 * Calls `ascend` until the request is fulfilled. It may do fewer updates than asked for, or one update of the first
 * positions alone. The result is that of one call. @throws any error of `ascend`, which checks the caller's signal
 */
export async function ascendInSlices(
  request: AscentRequest,
  ascend: (slice: AscentRequest) => Promise<AscentResult>,
): Promise<AscentResult> {
  let result = await ascendAll(request, ascend)
  while (result.steps < request.maxSteps && !hasChanged(request, result.tokens)) {
    const { latents, adam, steps } = result
    const next = await ascendAll({ ...request, latents, adam, maxSteps: request.maxSteps - steps }, ascend)
    result = { ...next, steps: steps + next.steps }
  }
  return result
}

/** Does one update of all positions, or several where one call serves them all. */
async function ascendAll(
  request: AscentRequest,
  ascend: (slice: AscentRequest) => Promise<AscentResult>,
): Promise<AscentResult> {
  const first = await ascend(request)
  const parts = [first]
  let done = first.latents.length
  while (done < request.latents.length) {
    const part = await ascend(partialUpdate(request, done))
    parts.push(part)
    done += part.latents.length
  }
  return parts.length === 1 ? first : joinParts(request.latents, parts)
}

/** Returns the request for at most one update of the positions in [from, to). */
export function partialUpdate(
  request: AscentRequest,
  from: number,
  to = request.latents.length,
): AscentRequest {
  const { latents, adam, actions, maxSteps } = request
  const slice = (values: Float32Array) => values.slice(from * latents.width, to * latents.width)
  return {
    ...request,
    latents: latentsBetween(latents, from, to),
    adam: { ...adam, m: slice(adam.m), v: slice(adam.v) },
    actions: actions.map((tokens) => tokens.slice(from, to)),
    maxSteps: Math.min(1, maxSteps),
    untilChanged: false,
  }
}

function joinParts(whole: Latents, parts: readonly AscentResult[]): AscentResult {
  const join = (valuesOf: (part: AscentResult) => Float32Array) => {
    const out = new Float32Array(whole.data.length)
    let offset = 0
    for (const values of parts.map(valuesOf)) {
      out.set(values, offset)
      offset += values.length
    }
    return out
  }
  const [{ adam, steps }] = parts as [AscentResult]
  return {
    latents: { ...whole, data: join((part) => part.latents.data) },
    adam: { m: join((part) => part.adam.m), v: join((part) => part.adam.v), step: adam.step },
    steps,
    tokens: parts.flatMap(({ tokens }) => tokens),
  }
}

/**
 * Calls `read` with the positions that are left, and their place in `latents`, until it has returned a value for
 * each; a call may return those of the first positions alone.
 */
export async function readInSlices<Value>(
  latents: Latents,
  read: (rest: Latents, from: number) => Promise<readonly Value[]>,
): Promise<Value[]> {
  const values = [...(await read(latents, 0))]
  while (values.length < latents.length) {
    const from = values.length
    values.push(...(await read(latentsBetween(latents, from, latents.length), from)))
  }
  return values
}

function latentsBetween({ data, width }: Latents, from: number, to: number): Latents {
  return { data: data.slice(from * width, to * width), length: to - from, width }
}
