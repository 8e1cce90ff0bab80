import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { FusedJudge, JudgedAnswer } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { scriptedRewardModel } from '../../support/scripted-reward-model.ts'
import { route, solverOn } from '../../support/solve-in-memory.ts'

/** The verifier passes the draft 'a', and says nearly the same of all. */
const SURE: World = {
  routes: {
    a: { ...route('1', 0.9), logProbability: -0.5 },
    b: { ...route('2', 0.88), logProbability: -0.25 },
    c: { ...route('3', 0.86), logProbability: -0.125 },
  },
  firstLogits: { a: 1.6, b: 1.2, c: 1 },
}

/** A judge that gives the P(correct) of a function, and the answers that it has scored. */
function scriptedJudge(of: (answer: JudgedAnswer) => number) {
  const seen: JudgedAnswer[] = []
  const judge: FusedJudge = {
    version: 'judge-4',
    policy: null,
    score: async (answers) => {
      seen.push(...answers)
      return answers.map(of)
    },
  }
  return { judge, seen }
}

const byLikelihood = ({ logProbability }: JudgedAnswer) => Math.exp(logProbability!)
const rewardModel = scriptedRewardModel({ a: 0.3, b: 0.2, c: 0.1 })
const active = (judge: FusedJudge) => () => ({ weaver: identityWeaver, rewardModel, judge })

describe('an active fused judge', () => {
  test('gives the confidence of answer and candidates, and its version', async () => {
    const { judge } = scriptedJudge(byLikelihood)
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const solution = await solve({ strategy: 'greedy', explain: true })
    expect(solution).toMatchObject({
      answer: '1',
      confidence: Math.exp(-0.5),
      model: { judgeVersion: 'judge-4' },
      candidates: [{ confidence: Math.exp(-0.5) }],
    })
    const { solve: without } = solverOn(SURE, {
      activeModels: () => ({ weaver: identityWeaver, rewardModel }),
    })
    expect(await without({ strategy: 'greedy', explain: true })).toMatchObject({
      confidence: 0.3,
      model: { judgeVersion: null },
      candidates: [{ confidence: null }],
    })
  })

  test('decides when a search stops, in place of the reward', async () => {
    const passing = await solverOn(SURE).solve({ strategy: 'auto' })
    expect(passing).toMatchObject({ answer: '1', stopped: 'reward', iterations: 0 })
    const { judge } = scriptedJudge(byLikelihood)
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const searched = await solve({ strategy: 'auto' })
    expect(searched.iterations).toBeGreaterThan(0)
    const { judge: pleased } = scriptedJudge(() => 0.81)
    const stopped = await solverOn(SURE, { activeModels: active(pleased) }).solve({ strategy: 'auto' })
    expect(stopped).toMatchObject({ answer: '1', stopped: 'reward', iterations: 0 })
    const { judge: doubting } = scriptedJudge(() => 0.79)
    const doubted = await solverOn(SURE, { activeModels: active(doubting) }).solve({ strategy: 'auto' })
    expect(doubted.iterations).toBeGreaterThan(0)
  })

  test('chooses among the branches of fork, whatever their rewards', async () => {
    const { judge } = scriptedJudge((answer) => 0.9 * byLikelihood(answer))
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const chosen = await solve({ strategy: 'fork', samples: 2, learn: false, explain: true })
    const branch = chosen.candidates!.find(({ answer }) => answer === '3')!
    expect(chosen).toMatchObject({
      answer: '3',
      evaluations: 2,
      confidence: 0.9 * Math.exp(branch.logProbability!),
    })
    expect(chosen.reward).toBeLessThan(chosen.base!.reward)
    const { judge: doubting } = scriptedJudge(() => 0.5)
    const kept = solverOn(SURE, { activeModels: active(doubting) })
    expect(await kept.solve({ strategy: 'fork', samples: 2 })).toMatchObject({ answer: '1', evaluations: 2 })
  })

  test('chooses the answer of a search, whatever its reward', async () => {
    const { judge } = scriptedJudge(({ logProbability }) => (logProbability === -0.5 ? 0.2 : 0.97))
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const { answer, confidence, base, reward, improved, stopped } = await solve({ strategy: 'latentseek' })
    expect({ answer, confidence, improved, stopped }).toEqual({
      answer: '2',
      confidence: 0.97,
      improved: true,
      stopped: 'reward',
    })
    expect(reward).toBeLessThan(base!.reward)
  })

  test('stops a search that no reward would stop, once it is sure', async () => {
    const never = { ...SURE, profile: { defaults: { ...TEST_PROFILE.defaults, stopReward: 0 } } }
    for (const [probability, isStopped] of [
      [0.94, false],
      [0.96, true],
    ] as const) {
      const { judge } = scriptedJudge(() => probability)
      const { stopped } = await solverOn(never, { activeModels: active(judge) }).solve({ strategy: 'auto' })
      expect(stopped === 'reward').toBe(isStopped)
    }
  })

  test('gets all that is known of an answer', async () => {
    const { judge, seen } = scriptedJudge(byLikelihood)
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const { candidates } = await solve({ strategy: 'majority', samples: 8, explain: true })
    const answers = candidates!.map(({ answer }) => answer)
    expect(seen).toHaveLength(8)
    for (const [index, known] of seen.entries()) {
      const alike = answers.filter((answer) => answer === answers[index]).length - 1
      expect(known).toMatchObject({
        reward: candidates![index]!.reward,
        terms: candidates![index]!.rewardTerms,
        logProbability: candidates![index]!.logProbability,
        selfCertainty: 5,
        confidence: { 1: 0.3, 2: 0.2, 3: 0.1 }[answers[index]!],
        agreement: alike / 7,
        tokens: candidates![index]!.tokens,
      })
    }
    await solve({ strategy: 'greedy' })
    expect(seen.at(-1)!.agreement).toBeNull()
  })

  test('reads the reward under the weights of the profile, whatever those of a request', async () => {
    const { judge, seen } = scriptedJudge(byLikelihood)
    const { solve } = solverOn(SURE, { activeModels: active(judge) })
    const plain = await solve({ strategy: 'greedy', learn: false })
    const own = await solve({ strategy: 'greedy', learn: false, reward: { verifier: 0, format: 1 } })
    expect(own.reward).not.toBe(plain.reward)
    expect(seen.map(({ reward }) => reward)).toEqual([plain.reward, plain.reward])
  })

  test('selects the best of N, and weighs votes', async () => {
    const { judge } = scriptedJudge(byLikelihood)
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(SURE, { activeModels: active(judge), episodes })
    const bank = { samples: 24, seed: 2 } as const
    expect(await solve({ ...bank, strategy: 'best-of-n' })).toMatchObject({ answer: '3', degraded: [] })
    const { judge: stern } = scriptedJudge(({ logProbability }) => (logProbability === -0.125 ? 0.9 : 0.01))
    const weighed = solverOn(SURE, { activeModels: active(stern), episodes })
    expect(await weighed.solve({ ...bank, strategy: 'majority' })).toMatchObject({ answer: '1' })
    expect(await weighed.solve({ ...bank, strategy: 'majority', weights: 'judge' })).toMatchObject({
      answer: '3',
      degraded: [],
    })
    for (const strategy of ['greedy', 'auto'] as const) await solve({ strategy })
    expect(episodes.added.map(({ judgeVersion }) => judgeVersion)).toEqual([
      'judge-4',
      null,
      'judge-4',
      null,
      'judge-4',
    ])
  })
})
