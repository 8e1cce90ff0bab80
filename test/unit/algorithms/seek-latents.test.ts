import { describe, expect, test } from 'vitest'
import { type SearchPoint, type SeekOptions, type SeekUpdate, seekLatents } from '#algorithms'
import { ServiceError } from '#errors'
import type { AscentRequest, LatentHead } from '#ports'
import { createRandom } from '#tensor'
import { argmaxAdvantage, sampledAdvantages } from '../../../src/algorithms/latent-seek/ascent.ts'
import { createLinearModel, identity, linearHead, tokenOf } from '../../support/linear-model.ts'
import { SEEK_OPTIONS, seekProblem } from '../../support/seek-problem.ts'

const NEVER = new AbortController().signal
const FAR = -30

/** Rewards by the first token. */
const byFirst = (rewards: readonly number[]) => (prefix: readonly number[]) => rewards[prefix[0]!]!

describe('argmax search', () => {
  test('pushes away from a bad answer until its runner-up takes over', async () => {
    // Adam moves every coordinate by lr: the margin of .5 shrinks by .2 an update, so the third one flips.
    const { task, completed, ascents } = seekProblem({
      logits: [[2, 1.5, FAR]],
      reward: byFirst([-0.9, -0.1, -1]),
    })

    const result = await seekLatents(task, SEEK_OPTIONS, NEVER)

    expect(result.best.prefix).toEqual([1])
    expect(result.best.step).toBe(3)
    expect(result.stopped).toBe('reward')
    expect(result.iterations).toBe(3)
    expect(result.rewardHistory).toEqual([-0.9, -0.9, -0.9, -0.1])
    expect(completed).toEqual([[1]])
    expect(ascents).toHaveLength(1)
  })

  test('reports every update, changed or not, in order', async () => {
    const { task } = seekProblem({ logits: [[2, 1.5, FAR]], reward: byFirst([-0.9, -0.1, -1]) })
    const updates: SeekUpdate[] = []

    await seekLatents({ ...task, onUpdate: (update) => updates.push(update) }, SEEK_OPTIONS, NEVER)

    expect(updates.map(({ step, changed }) => [step, changed])).toEqual([
      [1, false],
      [2, false],
      [3, true],
    ])
  })

  test('crosses two margins with momentum; without momentum returns to the first answer', async () => {
    const problem = { logits: [[3, 2, 1.4, FAR]], reward: byFirst([-0.9, -0.8, -0.05, -1]) }
    const path = async (beta1: number) => {
      const { task } = seekProblem(problem)
      const prefixes = [0]
      const onUpdate = ({ found, changed }: SeekUpdate) => changed && prefixes.push(found.prefix[0]!)
      await seekLatents({ ...task, onUpdate }, { ...SEEK_OPTIONS, beta1 }, NEVER)
      return prefixes
    }

    expect(await path(0.9)).toEqual([0, 1, 2])
    expect(await path(0)).toEqual([0, 1, 0, 1, 0, 2])
  })

  test('never judges the same prefix twice', async () => {
    const { task, completed } = seekProblem({
      logits: [[2, 1.9, FAR, FAR]],
      reward: byFirst([-0.9, -0.8, -1, -1]),
    })

    // A known answer is not an evaluation, so it does not count towards `patience`.
    const options = { ...SEEK_OPTIONS, beta1: 0, maxIterations: 20, patience: 2 }
    const result = await seekLatents(task, options, NEVER)

    expect(result).toMatchObject({ stopped: 'maxIterations', iterations: 20 })
    expect(result.rewardHistory.filter((reward) => reward === -0.9).length).toBeGreaterThan(5)
    expect(completed).toEqual([[1]])
    expect(task.memo.evaluations).toBe(1)
  })

  test('returns the best answer seen, not the last, and the earliest among equals', async () => {
    const { task, completed } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7]],
      reward: byFirst([-0.9, -0.5, -0.5, -0.6]),
    })

    const result = await seekLatents(task, { ...SEEK_OPTIONS, maxIterations: 30 }, NEVER)

    expect(completed.map(([first]) => first).sort()).toEqual([1, 2, 3])
    expect(result.best.prefix).toEqual(completed.find(([first]) => first === 1 || first === 2))
    expect(result.best.evaluation.judgement.reward).toBe(-0.5)
    expect(result.stopped).toBe('maxIterations')
  })

  test('keeps a draft that is better than its starting point', async () => {
    const { task, start } = seekProblem({ logits: [[2, 1.5, FAR]], reward: byFirst([-0.9, -0.8, -1]) })
    const draft: SearchPoint = { ...start, prefix: [2], evaluation: task.start.evaluation }
    const better = { ...draft.evaluation, judgement: { reward: -0.4, terms: {}, correctness: 0.6 } }

    const result = await seekLatents(
      { ...task, best: { ...draft, evaluation: better } },
      { ...SEEK_OPTIONS, maxIterations: 5 },
      NEVER,
    )

    expect(result.best.evaluation).toBe(better)
    expect(result.rewardHistory[0]).toBe(-0.9)
  })

  test('only pushes away: every advantage is a negative reward', async () => {
    const { task, ascents } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7]],
      reward: byFirst([-0.9, -0.5, -0.7, -0.6]),
    })

    await seekLatents(task, SEEK_OPTIONS, NEVER)

    expect(ascents.length).toBeGreaterThan(2)
    for (const { advantages } of ascents) expect(advantages[0]).toBeLessThan(0)
    expect(ascents.map(({ untilChanged }) => untilChanged)).not.toContain(false)
  })
})

describe('a random direction', () => {
  const problem = { logits: [[2, 1.95, 1.9, 1.85]], reward: byFirst([-0.9, -0.8, -0.1, -0.7]) }
  const random = { ...SEEK_OPTIONS, direction: 'random' as const }

  test('moves every coordinate by lr, one way until the answer changes, without a gradient', async () => {
    const { task, ascents } = seekProblem(problem)
    const points: SearchPoint[] = []

    const result = await seekLatents(
      { ...task, onUpdate: ({ found }) => points.push(found) },
      { ...random, seed: 3, maxIterations: 12 },
      NEVER,
    )

    expect(ascents).toEqual([])
    expect(result.best.evaluation.judgement.reward).toBeGreaterThan(-0.9)
    const [changed] = points.filter(({ prefix }) => prefix[0] !== 0)
    for (const [index, value] of changed!.latents.data.entries()) {
      const moved = Math.abs(value - problem.logits[0]![index]!)
      expect(moved).toBeCloseTo(random.lr * changed!.step, 5)
    }
  })

  test('is drawn anew for each answer, and by the seed alone', async () => {
    const path = async (seed: number, options: SeekOptions = random) => {
      const { task } = seekProblem({ ...problem, reward: () => -0.9 })
      const latents: number[][] = []
      await seekLatents(
        { ...task, onUpdate: ({ found }) => latents.push([...found.latents.data]) },
        { ...options, seed, maxIterations: 8 },
        NEVER,
      )
      return latents
    }

    expect(await path(3)).toEqual(await path(3))
    expect(await path(3)).not.toEqual(await path(4))
    expect(await path(3)).not.toEqual(await path(3, { ...random, direction: 'gradient' }))
  })
})

describe('the end of a search', () => {
  test('does nothing for a draft that passes', async () => {
    const { task, ascents } = seekProblem({ logits: [[2, 1, 0]], reward: () => -0.1 })

    const result = await seekLatents(task, SEEK_OPTIONS, NEVER)

    expect(result).toMatchObject({ stopped: 'reward', iterations: 0, rewardHistory: [-0.1] })
    expect(ascents).toHaveLength(0)
  })

  test('does nothing when the best answer passes, wherever the latents are', async () => {
    const { task, start, ascents } = seekProblem({ logits: [[2, 1, 0]], reward: () => -0.9 })
    const passing = { ...start.evaluation, judgement: { reward: -0.1, terms: {}, correctness: 0.9 } }

    const result = await seekLatents(
      { ...task, best: { ...start, evaluation: passing } },
      SEEK_OPTIONS,
      NEVER,
    )

    expect(result).toMatchObject({ stopped: 'reward', iterations: 0 })
    expect(ascents).toHaveLength(0)
  })

  test('continues past a high reward whose P(correct) is below .5', async () => {
    const { task } = seekProblem({
      logits: [[2, 1.9, FAR]],
      reward: byFirst([-1 / 6, -0.1, -1]),
      correctness: ([first]) => (first === 0 ? 0.2 : 0.9),
    })

    const result = await seekLatents(task, SEEK_OPTIONS, NEVER)

    expect(result.stopped).toBe('reward')
    expect(result.best.prefix).toEqual([1])
  })

  test('stops after `maxIterations` updates, also when that is 0', async () => {
    const { task, ascents } = seekProblem({ logits: [[20, 1, 0]], reward: () => -1 })

    const some = await seekLatents(task, { ...SEEK_OPTIONS, maxIterations: 7 }, NEVER)
    expect(some).toMatchObject({ stopped: 'maxIterations', iterations: 7 })
    expect(some.rewardHistory).toHaveLength(8)
    expect(ascents).toHaveLength(1)

    const none = await seekLatents(task, { ...SEEK_OPTIONS, maxIterations: 0 }, NEVER)
    expect(none).toMatchObject({ stopped: 'maxIterations', iterations: 0 })
  })

  test('stops after `patience` evaluations without a rise; a rise restarts the count', async () => {
    const rewards = [-0.9, -0.95, -0.5, -0.7, -0.7, -0.7]
    const { task, completed } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7, 1.6, 1.5]],
      reward: byFirst(rewards),
    })

    const result = await seekLatents(task, { ...SEEK_OPTIONS, patience: 2 }, NEVER)

    expect(result.stopped).toBe('noImprovement')
    expect(result.best.prefix).toEqual([2])
    const seen = completed.map(([first]) => rewards[first!])
    const sinceBest = seen.length - 1 - seen.indexOf(-0.5)
    expect(sinceBest).toBe(2)
  })

  test('ascends the P(correct) of a fused judge, also where the reward is 0 and gives no gradient', async () => {
    const { task, ascents } = seekProblem({
      logits: [[2, 1.5, FAR]],
      reward: () => 0,
      fused: byFirst([0.25, 0.9, 0]),
    })
    const result = await seekLatents(task, SEEK_OPTIONS, NEVER)
    expect(result).toMatchObject({ stopped: 'reward', best: { prefix: [1] } })
    expect(ascents[0]!.advantages).toEqual([-0.75])
  })

  test('stops at a reward of 0, which gives no gradient', async () => {
    const { task, ascents } = seekProblem({ logits: [[2, 1]], reward: () => 0 })

    const result = await seekLatents(task, { ...SEEK_OPTIONS, stopReward: 0 }, NEVER)

    expect(result.stopped).toBe('noImprovement')
    expect(ascents).toHaveLength(0)
  })

  test('checks the token budget before every update', async () => {
    const { task, completed } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7]],
      reward: byFirst([-0.9, -0.8, -0.8, -0.8]),
    })

    const result = await seekLatents(
      { ...task, isExhausted: () => completed.length >= 2 },
      SEEK_OPTIONS,
      NEVER,
    )

    expect(result.stopped).toBe('exhausted')
    expect(completed).toHaveLength(2)
  })

  test.each(['ascend', 'complete'] as const)('returns the best so far when aborted in %s', async (where) => {
    const controller = new AbortController()
    let calls = 0
    const { task, ascents, completed } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7]],
      reward: byFirst([-0.9, -0.8, -0.7, -0.7]),
      before(call) {
        if (call !== where || ++calls < 2) return
        controller.abort()
        throw new ServiceError('ABORTED', 'test: time is up')
      },
    })

    const result = await seekLatents(task, SEEK_OPTIONS, controller.signal)

    expect(result.stopped).toBe('aborted')
    expect(result.best.evaluation.judgement.reward).toBe(-0.8)
    expect(ascents.length).toBeLessThanOrEqual(2)
    expect(completed).toHaveLength(1)
  })

  test('makes no further call once the signal has fired', async () => {
    const controller = new AbortController()
    const { task, ascents } = seekProblem({
      logits: [[2, 1.9, 1.8, 1.7]],
      reward: byFirst([-0.9, -0.8, -0.7, -0.7]),
      before: (call) => call === 'complete' && controller.abort(),
    })

    const result = await seekLatents(task, SEEK_OPTIONS, controller.signal)

    expect(result).toMatchObject({ stopped: 'aborted' })
    expect(ascents).toHaveLength(1)
  })

  test('stops with `reward` when the best answer passes as the signal fires', async () => {
    const controller = new AbortController()
    const { task } = seekProblem({
      logits: [[2, 1.9, FAR]],
      reward: byFirst([-0.9, -0.1, -1]),
      before: (call) => call === 'complete' && controller.abort(),
    })

    expect((await seekLatents(task, SEEK_OPTIONS, controller.signal)).stopped).toBe('reward')
  })

  test('rethrows every other error', async () => {
    const { task } = seekProblem({
      logits: [[2, 1]],
      reward: () => -1,
      before() {
        throw new ServiceError('ENGINE_CRASHED', 'test: gone')
      },
    })

    await expect(seekLatents(task, SEEK_OPTIONS, NEVER)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
  })
})

describe('EOS in the prefix', () => {
  test('ends the answer: a change of the tokens after it makes no new answer', async () => {
    // Token 2 is EOS. The token at position 1 changes during the search, but is not part of the answer.
    const { task, completed } = seekProblem({
      logits: [
        [0.3, FAR, 0.25, FAR],
        [2, 1.9, FAR, 1.8],
      ],
      reward: ([first]) => (first === 2 ? -0.7 : -0.9),
      eosTokenIds: [2],
    })

    const result = await seekLatents(task, { ...SEEK_OPTIONS, maxIterations: 12 }, NEVER)

    expect(completed.filter((prefix) => prefix[0] === 2)).toEqual([[2]])
    expect(result.best.prefix).toEqual([2])
  })
})

describe('for random rewards', () => {
  test('a search ends within its budgets and never below its draft (300 seeded cases)', async () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = createRandom(seed)
      const pick = (n: number) => Math.floor(random.uniform() * n)
      const positions = 1 + pick(3)
      const vocabulary = 3 + pick(4)
      const logits = Array.from({ length: positions }, () =>
        Array.from({ length: vocabulary }, () => random.gaussian()),
      )
      const table = new Map<string, number>()
      const reward = (prefix: readonly number[]) => {
        const key = prefix.join(' ')
        if (!table.has(key)) table.set(key, -random.uniform())
        return table.get(key)!
      }
      const options = {
        ...SEEK_OPTIONS,
        lr: [0.03, 0.1, 0.5][pick(3)]!,
        beta1: [0, 0.9][pick(2)]!,
        maxIterations: pick(25),
        patience: 1 + pick(5),
      }
      const { task, completed, start } = seekProblem({
        logits,
        reward,
        correctness: () => (random.uniform() < 0.3 ? 0.1 : 0.9),
        eosTokenIds: [0],
      })

      const result = await seekLatents(task, options, NEVER)

      const drafted = start.evaluation.judgement.reward
      const seen = [drafted, ...completed.map((prefix) => table.get(prefix.join(' '))!)]
      const context = `seed ${seed}`
      expect(result.best.evaluation.judgement.reward, context).toBe(Math.max(...seen))
      expect(result.best.evaluation.judgement.reward, context).toBeGreaterThanOrEqual(drafted)
      expect(result.iterations, context).toBeLessThanOrEqual(options.maxIterations)
      expect(result.rewardHistory, context).toHaveLength(result.iterations + 1)
      expect(task.memo.evaluations, context).toBeLessThanOrEqual(result.iterations)
      expect(new Set(completed.map(String)).size, context).toBe(completed.length)
    }
  })
})

describe('an update that gives latents that are not finite', () => {
  test('ends the search with the best answer so far, and is not judged', async () => {
    const { task, completed } = seekProblem({
      logits: [[2, 1.9, 1.5]],
      reward: byFirst([-0.9, -0.6, -0.1]),
    })
    let calls = 0
    const head = {
      ...task.head,
      async ascend(request: AscentRequest) {
        const moved = await task.head.ascend(request, NEVER)
        if (++calls < 2) return moved
        return { ...moved, latents: { ...moved.latents, data: moved.latents.data.map(() => Number.NaN) } }
      },
    }

    const result = await seekLatents({ ...task, head }, SEEK_OPTIONS, NEVER)

    expect(result).toMatchObject({ stopped: 'noImprovement' })
    expect(result.best.evaluation.judgement.reward).toBe(-0.6)
    expect(result.rewardHistory).toHaveLength(result.iterations + 1)
    expect(completed).toEqual([[1]])
    expect(calls).toBe(2)
  })
})

describe('sampled rollouts', () => {
  const world = {
    routes: { a: route(0.1), b: route(0.2), c: route(0.97) },
    firstLogits: { a: 2, b: 1.5, c: 0.2 },
  }

  async function sampled(seed: number) {
    const model = createLinearModel(world)
    const rewards: Record<number, number> = {
      [tokenOf('a')]: -0.9,
      [tokenOf('b')]: -0.8,
      [tokenOf('c')]: -0.03,
    }
    const { task } = seekProblem({
      logits: [Array.from({ length: 40 }, (_, v) => ({ 5: 2, 6: 1.5, 7: 0.2 })[v] ?? FAR)],
      reward: ([first]) => rewards[first!] ?? -1,
    })
    const head = { ...task.head, sample: model.head.sample }
    const result = await seekLatents(
      { ...task, head },
      { ...SEEK_OPTIONS, rollouts: 4, seed, maxIterations: 20 },
      NEVER,
    )
    return { result, evaluations: task.memo.evaluations }
  }

  test('find an answer that few updates would reach, and the same answer for the same seed', async () => {
    const first = await sampled(3)
    const again = await sampled(3)

    expect(first.result.best.prefix).toEqual([tokenOf('c')])
    expect(first.result.stopped).toBe('reward')
    expect(again.result.rewardHistory).toEqual(first.result.rewardHistory)
    expect(again.evaluations).toBe(first.evaluations)
  })
})

describe('sampled rollouts for random rewards', () => {
  test('end within their budgets and never below the draft (200 seeded cases)', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = createRandom(seed)
      const pick = (n: number) => Math.floor(random.uniform() * n)
      const vocabulary = 3 + pick(4)
      const logits = Array.from({ length: 1 + pick(3) }, () =>
        Array.from({ length: vocabulary }, () => random.gaussian()),
      )
      const table = new Map<string, number>()
      const reward = (prefix: readonly number[]) => {
        const key = prefix.join(' ')
        if (!table.has(key)) table.set(key, -random.uniform())
        return table.get(key)!
      }
      const rollouts = 2 + pick(4)
      const options = { ...SEEK_OPTIONS, rollouts, maxIterations: pick(8), patience: 1 + pick(3), seed }
      const { task, completed, start } = seekProblem({ logits, reward, eosTokenIds: [0] })
      const head = { ...task.head, sample: sampleOf(logits[0]!.length) }

      const result = await seekLatents({ ...task, head }, options, NEVER)

      const drafted = start.evaluation.judgement.reward
      const context = `seed ${seed}`
      expect(result.best.evaluation.judgement.reward, context).toBe(
        Math.max(drafted, ...completed.map((prefix) => table.get(prefix.join(' '))!)),
      )
      expect(result.iterations, context).toBeLessThanOrEqual(options.maxIterations)
      expect(result.rewardHistory, context).toHaveLength(result.iterations + 1)
      expect(task.memo.evaluations, context).toBeLessThanOrEqual((result.iterations + 1) * (rollouts + 1))
      expect(new Set(completed.map(String)).size, context).toBe(completed.length)
      expect(
        completed.every((prefix) => !prefix.slice(0, -1).includes(0)),
        context,
      ).toBe(true)
    }
  })

  test.each(['sample', 'complete', 'ascend'] as const)(
    'return the best so far when aborted in %s',
    async (where) => {
      const controller = new AbortController()
      let calls = 0
      const abort = (call: string) => {
        if (call !== where || ++calls < 2) return
        controller.abort()
        throw new ServiceError('ABORTED', 'test: time is up')
      }
      const { task, completed } = seekProblem({
        logits: [[2, 1.9, 1.8, 1.7]],
        reward: byFirst([-0.9, -0.8, -0.7, -0.95]),
        before: abort,
      })
      const sample = sampleOf(4)
      const head = {
        ...task.head,
        sample: (...given: Parameters<typeof sample>) => {
          abort('sample')
          return sample(...given)
        },
      }

      const options = { ...SEEK_OPTIONS, rollouts: 2, seed: 4, lr: 0.5 }
      const result = await seekLatents({ ...task, head }, options, controller.signal)

      expect(result.stopped).toBe('aborted')
      const seen = [-0.9, ...completed.map(([first]) => [-0.9, -0.8, -0.7, -0.95][first!]!)]
      expect(seen).toContain(result.best.evaluation.judgement.reward)
      expect(result.rewardHistory).toHaveLength(result.iterations + 1)
    },
  )
})

describe('advantages', () => {
  test('of argmax tokens are the reward; a reward that is not negative is refused', () => {
    expect(argmaxAdvantage(-0.25)).toBe(-0.25)
    for (const reward of [0, 0.1, Number.NaN]) {
      expect(() => argmaxAdvantage(reward)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    }
  })

  test('of sampled tokens are each reward minus the mean of the others', () => {
    const advantages = sampledAdvantages([-1, -0.4, -0.1])

    expect(advantages[0]).toBeCloseTo(-1 + 0.25, 12)
    expect(advantages[1]).toBeCloseTo(-0.4 + 0.55, 12)
    expect(advantages[2]).toBeCloseTo(-0.1 + 0.7, 12)
    expect(sampledAdvantages([-0.5, -0.5])).toEqual([0, 0])
    // The mean of three times -0.1 is not exactly -0.1 in floating point.
    expect(sampledAdvantages([-0.1, -0.1, -0.1])).toEqual([0, 0, 0])
  })

  test('have the right sign: a negative advantage makes its token less likely', () => {
    const arithmetic = linearHead(identity(3))
    const latents = { data: Float32Array.from([0.5, 0.4, 0.1]), length: 1, width: 3 }
    const zero = { m: new Float32Array(3), v: new Float32Array(3), step: 0 }
    const request = {
      latents,
      adam: zero,
      actions: [[0]],
      lr: 0.1,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      temperature: 1,
      maxSteps: 1,
      untilChanged: false,
    }

    const away = arithmetic.ascend({ ...request, advantages: [-1] }).latents.data
    const towards = arithmetic.ascend({ ...request, advantages: [1] }).latents.data

    expect(away[0]! - away[1]!).toBeLessThan(0.1)
    expect(towards[0]! - towards[1]!).toBeGreaterThan(0.1)
  })
})

function route(p: number) {
  return { rest: 'ans 1', verdicts: { check: p } }
}

/** Samples tokens with the latents as logits. */
function sampleOf(vocabulary: number): LatentHead['sample'] {
  return createLinearModel({ routes: {}, firstLogits: {}, head: identity(vocabulary) }).head.sample
}
