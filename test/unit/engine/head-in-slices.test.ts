/** @file Calls of the head, and the head's part of a judge batch, in calls of bounded duration. */

import { expect, suite, test } from 'vitest'
import type { AscentRequest } from '#ports'
import { ascendInSlices, MIN_HEAD_POSITIONS, readInSlices } from '../../../src/engine/head-in-slices.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

async function ascent(changes: Partial<AscentRequest> = {}) {
  const engine = await tinySessions()
  engine.sessions.open(1, [1, 9, 20, 33])
  const row = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 8, latents: 4 }
  const [draft] = await engine.sessions.generate(1, [row])
  return { head: engine.head, request: requestOf(draft!, changes) }
}

function requestOf(
  { latents, tokens }: Pick<AscentRequest, 'latents'> & { readonly tokens: readonly number[] },
  changes: Partial<AscentRequest>,
): AscentRequest {
  const zeros = () => new Float32Array(latents.data.length)
  return {
    latents,
    adam: { m: zeros(), v: zeros(), step: 0 },
    actions: [tokens.slice(0, latents.length)],
    advantages: [-1],
    lr: 0.003,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    temperature: 1,
    maxSteps: 40,
    untilChanged: false,
    ...changes,
  }
}

/** 40 positions: three calls of the least number. */
async function manyPositions() {
  const { head, hiddenSize } = { ...(await tinySessions()), hiddenSize: 16 }
  const data = Float32Array.from({ length: 40 * hiddenSize }, (_, index) => Math.sin(index * 1.7) * 2)
  const latents = { data, length: 40, width: hiddenSize }
  return { head, latents, tokens: await head.decode(latents) }
}

suite('an ascent', () => {
  test('ends a call in time, after one update at least', async () => {
    const { head, request } = await ascent()
    expect((await head.ascend(request, 0)).steps).toBe(1)
    expect((await head.ascend(request, 60_000)).steps).toBe(40)
  })

  test.for([false, true])('in slices gives the result of one call, untilChanged %s', async (untilChanged) => {
    const { head, request } = await ascent({ untilChanged, maxSteps: 300 })
    let calls = 0
    const sliced = await ascendInSlices(request, (slice) => {
      calls += 1
      return head.ascend(slice, 0)
    })
    expect(sliced).toEqual(await head.ascend(request))
    expect(calls).toBe(sliced.steps)
    expect(calls).toBeGreaterThan(1)
  })

  test('ends when the caller leaves', async () => {
    const { head, request } = await ascent()
    let calls = 0
    const sliced = ascendInSlices(request, (slice) => {
      calls += 1
      if (calls === 3) throw new Error('the caller left')
      return head.ascend(slice, 0)
    })
    await expect(sliced).rejects.toThrow('the caller left')
    expect(calls).toBe(3)
  })
})

suite('more positions than one call may serve', () => {
  test('are decoded and sampled in calls of the first positions', async () => {
    const { head, latents, tokens } = await manyPositions()
    const calls: number[] = []
    const decoded = await readInSlices(latents, (rest) => {
      calls.push(rest.length)
      return head.decode(rest, 0)
    })
    expect(decoded).toEqual(tokens)
    expect(calls).toEqual([40, 40 - MIN_HEAD_POSITIONS, 40 - 2 * MIN_HEAD_POSITIONS])

    const uniforms = tokens.map((_, position) => Float32Array.of(position / 40, 1 - (position + 1) / 41))
    const sampled = await readInSlices(latents, (rest, from) => head.sample(rest, uniforms.slice(from), 2, 0))
    expect(sampled).toEqual(await head.sample(latents, uniforms, 2))
    const read = await readInSlices(latents, (rest) => head.likelyTokens(rest, 2, 0))
    expect(read).toEqual(await head.likelyTokens(latents, 2))
    expect(read.map(([first]) => first!.token)).toEqual(tokens)
    expect(sampled.map(([first]) => first)).not.toEqual(sampled.map(([, second]) => second))
  })

  test('are all read at once where earlier calls were quick', async () => {
    const { head, latents } = await manyPositions()
    expect(await head.decode(latents, 60_000)).toHaveLength(40)
  })

  test('have one update each before the next, with the result of one call', async () => {
    const { head, latents, tokens } = await manyPositions()
    const request = requestOf(
      { latents, tokens },
      { actions: [tokens, tokens.map((token) => (token + 1) % 60)] },
    )
    const twice = { ...request, advantages: [-1, 0.5], maxSteps: 2 }
    const steps: number[] = []
    const sliced = await ascendInSlices(twice, async (slice) => {
      const result = await head.ascend(slice, 0)
      steps.push(result.latents.length)
      return result
    })
    expect(steps).toEqual([16, 16, 8, 16, 16, 8])
    const whole = await head.ascend(twice)
    expect(sliced.tokens).toEqual(whole.tokens)
    expect(sliced).toMatchObject({ steps: 2, adam: { step: 2 }, latents: { length: 40, width: 16 } })
    for (const [index, value] of sliced.latents.data.entries())
      expect(value).toBeCloseTo(whole.latents.data[index]!, 5)
  })
})

suite('the logits of a judge batch', () => {
  const score = async (engine: Awaited<ReturnType<typeof tinySessions>>, session: number) => {
    engine.sessions.open(session, [1, 9, 20, 33])
    const rows = Array.from({ length: 40 }, (_, index) => ({ sequence: 0, suffix: [5 + index] }))
    return await engine.sessions.score(session, rows, [7, 8])
  }

  test('are read a few rows at a time, with other work in between', async () => {
    const expected = await score(await tinySessions(), 1)
    const engine = await tinySessions({ headMs: 0 })
    engine.sessions.open(2, [1, 9])
    const scoring = score(engine, 1)
    while (engine.readRows.length === 0) await new Promise(setImmediate)
    const runs = engine.runs.length
    await engine.sessions.embed(2)
    expect(engine.runs.length).toBe(runs + 1)
    const logits = await scoring
    expect(engine.readRows).toEqual([16, 16, 8])
    expect(logits).toHaveLength(40)
    for (const [index, [first]] of logits.entries()) expect(first).toBeCloseTo(expected[index]![0]!, 5)
  })

  test('are not read on once the session is closed', async () => {
    const engine = await tinySessions({ headMs: 0 })
    const scoring = score(engine, 1)
    const outcome = expect(scoring).rejects.toMatchObject({ code: 'ABORTED' })
    while (engine.readRows.length === 0) await new Promise(setImmediate)
    engine.sessions.close(1)
    await outcome
    expect(engine.readRows.length).toBeLessThan(3)
  })
})
