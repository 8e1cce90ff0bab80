/** @file One ascent in calls of bounded duration. */

import { expect, suite, test } from 'vitest'
import type { AscentRequest } from '#ports'
import { ascendInSlices } from '../../../src/engine/ascend-in-slices.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

async function ascent(changes: Partial<AscentRequest> = {}) {
  const engine = await tinySessions()
  engine.sessions.open(1, [1, 9, 20, 33])
  const row = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 8, latents: 4 }
  const [draft] = await engine.sessions.generate(1, [row])
  const { latents, tokens } = draft!
  const zeros = () => new Float32Array(latents.data.length)
  const request: AscentRequest = {
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
  return { head: engine.head, request }
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
