import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { ModelProfile } from '#engine'
import { createVerdicts } from '../../../src/solving/judging/verdicts.ts'
import {
  createLinearModel,
  END,
  encode,
  TEST_PROFILE,
  tokenOf,
  type World,
} from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

type Judge = ModelProfile['judge']

function criterion(name: string, prompt: string, weight: number): Judge['criteria'][number] {
  return { name, prompt, weight, true: ['true'], false: ['false'] }
}

const LOGIT = { verdict: 'logit', maxNewTokens: 16 } as const

function worldOf(judge: Judge, verdicts: Readonly<Record<string, number>>): World {
  return {
    routes: { a: { rest: ': 6 + 4 ; ans 1', verdicts } },
    firstLogits: { a: 3 },
    profile: { judge },
  }
}

const UNDECODED = {
  text: '',
  answer: null,
  finish: 'eos' as const,
  sequence: 0,
  tail: [],
  thought: null,
  signals: null,
  tokens: [],
}
const USER = tokenOf('<user>')
const ASSISTANT = tokenOf('<assistant>')
const PROMPT = [USER, ...encode('6 + 4 = ?'), END, ASSISTANT]
const ANSWER = [...encode('a : 6 + 4 ; ans 1'), END]

describe('a continuation judge', () => {
  test('reads its verdicts behind the answer, weighs them, and reports each', async () => {
    const judge: Judge = {
      ...LOGIT,
      mode: 'continuation',
      criteria: [criterion('correctness', 'check', 1), criterion('clarity', 'check wise', 3)],
    }
    const { solve, engine } = solverOn(worldOf(judge, { check: 0.9, wise: 0.6 }))
    const solution = await solve({ strategy: 'greedy', explain: true, reward: { format: 0 } })

    expect(engine.judged).toEqual([
      [...PROMPT, ...ANSWER, tokenOf('check')],
      [...PROMPT, ...ANSWER, tokenOf('check'), tokenOf('wise')],
    ])
    expect(engine.calls.score).toBe(1)
    expect(solution.reward).toBeCloseTo((1 * -0.1 + 3 * -0.4) / 4, 6)
    const terms = solution.candidates![0]!.rewardTerms
    expect(terms['verifier.correctness']).toBeCloseTo(-0.1, 6)
    expect(terms['verifier.clarity']).toBeCloseTo(-0.4, 6)
    expect(solution.usage.rewardTokens).toBe(3)
  })

  test('does not let form outweigh doubt: a search goes on past P(correct) below one half', async () => {
    const judge: Judge = {
      ...LOGIT,
      mode: 'continuation',
      criteria: [criterion('correctness', 'check', 1), criterion('clarity', 'check wise', 50)],
    }
    const { solve } = solverOn(worldOf(judge, { check: 0.3, wise: 0.999 }))
    const solution = await solve({ budget: { maxIterations: 3 } })

    expect(solution.reward).toBeGreaterThan(-0.2)
    expect(solution).toMatchObject({ stopped: 'maxIterations', iterations: 3 })
  })
})

describe('a chat judge', () => {
  const judge: Judge = {
    ...LOGIT,
    mode: 'chat',
    criteria: [criterion('correctness', '{question} {answer} check', 1)],
  }
  const turn = [
    USER,
    ...encode('6 + 4 = ?'),
    ...encode('a : 6 + 4 ; ans 1'),
    tokenOf('check'),
    END,
    ASSISTANT,
  ]

  test('asks in a new turn, on the cache of the answer it judges', async () => {
    const { solve, engine } = solverOn(worldOf(judge, { check: 0.9 }))
    const solution = await solve({ strategy: 'greedy' })

    expect(engine.judged).toEqual([[...PROMPT, ...ANSWER, ...turn]])
    expect(solution.usage.rewardTokens).toBe(turn.length)
    expect(solution.reward).toBeCloseTo(-0.1 / 3, 6)
  })

  test('falls back on the cache of the prompt where the template renders the answer in another way', () => {
    const model = createLinearModel(worldOf(judge, { check: 0.9 }))
    const verdicts = createVerdicts(model)
    const context = { question: '6 + 4 = ?', prompt: PROMPT, promptSequence: 0 }
    const messages = [{ role: 'user' as const, content: '6 + 4 = ?' }]
    const [read] = verdicts.criteriaFor({ ...context, messages })
    const answer = {
      text: 'a : 6 + 4 ; ans 1',
      answer: '1',
      finish: 'eos' as const,
      sequence: 5,
      tail: [],
      thought: null,
      signals: null,
      tokens: ANSWER,
    }

    expect(read!.rowFor(answer)).toEqual({ sequence: 5, suffix: turn })
    expect(read!.rowFor({ ...answer, tokens: [...ANSWER, END] })).toEqual({
      sequence: 0,
      suffix: [...ANSWER, ...turn],
    })
  })

  test('leaves room for an answer that it quotes', () => {
    const model = createLinearModel(worldOf(judge, {}))
    const messages = [{ role: 'user' as const, content: '6 + 4 = ?' }]
    const room = createVerdicts(model).room({ question: '6 + 4 = ?', messages, prompt: PROMPT }, 256)

    // Prompt 8, end of the answer 1, judge's turn 9; the answer stands in it twice.
    expect(room).toBe(Math.floor((256 - 18) / 2))
  })

  test('continues the answer as it was written where the template changes earlier turns', () => {
    const opened = tokenOf('wise')
    const said = { role: 'user' as const, content: '6 + 4 = ?' }
    const model = createLinearModel(worldOf(judge, {}))
    // The generation prompt opens a thought that earlier turns do not have.
    const codec = {
      ...model.codec,
      encodeChat: (messages: Parameters<typeof model.codec.encodeChat>[0]) => [
        ...model.codec.encodeChat(messages),
        opened,
      ],
      encodeAfterAnswer: (messages: Parameters<typeof model.codec.encodeChat>[0]) => [
        ...model.codec.encodeAfterAnswer(messages),
        opened,
      ],
    }
    const prompt = codec.encodeChat([said])
    const context = { question: '6 + 4 = ?', messages: [said], prompt, promptSequence: 0 }
    const verdicts = createVerdicts({ ...model, codec })
    const [read] = verdicts.criteriaFor(context)
    const answer = {
      text: 'a : 6 + 4 ; ans 1',
      answer: '1',
      finish: 'eos' as const,
      sequence: 5,
      tail: [],
      thought: null,
      signals: null,
      tokens: ANSWER,
    }

    expect(read!.rowFor(answer)).toEqual({ sequence: 5, suffix: [...turn, opened] })
    const tail = [tokenOf('1')]
    const cut = { ...answer, sequence: 0, tail, tokens: tail }
    expect(read!.rowFor(cut)).toEqual({ sequence: 0, suffix: [...tail, END, ...turn, opened] })
    // Prompt 9, end of the answer 1, judge's turn 10.
    expect(verdicts.room(context, 256)).toBe(Math.floor((256 - 20) / 2))
  })

  test('begins its turn with the prefill, and does not read thoughts', async () => {
    const seen: (string | undefined)[] = []
    const quoted: string[] = []
    const model = createLinearModel({
      ...worldOf({ ...judge, prefill: 'wise' }, {}),
      codec: {
        quote(text) {
          quoted.push(text)
          return text
        },
        splitThought: (text) => ({ reasoning: text, final: text.replace('a', 'b') }),
        encodeChat(_, prefill) {
          seen.push(prefill)
          return []
        },
      },
    })
    const context = { question: '?', messages: [], prompt: [], promptSequence: 0 }
    const [read] = createVerdicts(model).criteriaFor(context)
    read!.rowFor({ ...UNDECODED, text: 'a' })
    expect(seen).toEqual(['wise'])
    expect(quoted).toEqual(['?', 'b'])
  })
})

describe('a turn judge', () => {
  const judge: Judge = {
    ...LOGIT,
    mode: 'turn',
    criteria: [criterion('correctness', '{question} ? check', 1), criterion('clarity', '{answer} wise', 1)],
  }
  const turn = [USER, ...encode('6 + 4 = ? ? check'), END, ASSISTANT]
  const quoting = [USER, ...encode('a : 6 + 4 ; ans 1 wise'), END, ASSISTANT]

  test('asks in the next turn, on the cache of the answer', async () => {
    const { solve, engine } = solverOn(worldOf(judge, { check: 0.9, wise: 0.5 }))
    const solution = await solve({ strategy: 'greedy', reward: { format: 0 } })
    expect(engine.judged).toEqual([
      [...PROMPT, ...ANSWER, ...turn],
      [...PROMPT, ...ANSWER, ...quoting],
    ])
    expect(solution.usage.rewardTokens).toBe(turn.length + quoting.length)
    expect(solution.reward).toBeCloseTo((-0.1 - 0.5) / 2, 6)
  })

  test('keeps the tokens of the answer, however its text would be tokenised', () => {
    const model = createLinearModel(worldOf(judge, {}))
    const context = {
      question: '6 + 4 = ?',
      messages: [{ role: 'user' as const, content: '6 + 4 = ?' }],
      prompt: PROMPT,
      promptSequence: 0,
    }
    const verdicts = createVerdicts(model)
    const [read] = verdicts.criteriaFor(context)
    const tokens = [tokenOf('b'), END]
    expect(read!.rowFor({ ...UNDECODED, sequence: 5, text: 'c', tokens })).toEqual({
      sequence: 5,
      suffix: turn,
    })
    const cut = { ...UNDECODED, sequence: 5, text: 'c', tokens: [tokenOf('b')] }
    expect(read!.rowFor(cut)).toEqual({ sequence: 5, suffix: [END, ...turn] })
    const tail = [tokenOf('b'), END]
    expect(read!.rowFor({ ...UNDECODED, text: 'c', tokens: tail, tail })).toEqual({
      sequence: 0,
      suffix: [...tail, ...turn],
    })
    // Prompt 8, end of the answer 1, the longest turn 9; the other criterion quotes the answer.
    expect(verdicts.room(context, 256)).toBe(Math.floor((256 - 8 - 1 - turn.length) / 2))
  })

  test('tokenises a turn that quotes no answer once for all answers', () => {
    let encoded = 0
    const model = createLinearModel(worldOf({ ...judge, criteria: [judge.criteria[0]!] }, {}))
    const codec = {
      ...model.codec,
      encodeAfterAnswer(...turns: Parameters<typeof model.codec.encodeChat>) {
        encoded += 1
        return model.codec.encodeAfterAnswer(...turns)
      },
    }
    const context = { question: '?', messages: [], prompt: [], promptSequence: 0 }
    const [read] = createVerdicts({ ...model, codec }).criteriaFor(context)
    for (const text of ['a', 'b', 'c']) read!.rowFor({ ...UNDECODED, text })
    expect(encoded).toBe(1)
  })
})

describe('verdict words', () => {
  test.each([
    ['share their first token', { true: ['true', 'wise'], false: ['wise'] }],
    ['have none', { true: [' '], false: ['false'] }],
  ])('that %s are refused when the solver is made', (_name, words) => {
    const judge: Judge = {
      ...LOGIT,
      mode: 'continuation',
      criteria: [{ ...TEST_PROFILE.judge.criteria[0]!, ...words }],
    }
    expect(() => solverOn(worldOf(judge, {}))).toThrow(
      expect.objectContaining({ code: 'MODEL_INVALID', message: expect.stringContaining('correctness') }),
    )
  })
})

describe('a judge that writes', () => {
  const writing = (mode: Judge['mode'], verdict: Judge['verdict'], prompt: string): Judge => ({
    mode,
    verdict,
    marker: 'check =',
    maxNewTokens: 12,
    criteria: [criterion('correctness', prompt, 1), criterion('clarity', `${prompt} wise`, 2)],
  })
  const says = (judge: Judge, text: (asked: readonly number[]) => string) => ({
    ...worldOf(judge, {}),
    says: text,
  })

  test.each([
    ['continuation' as const, 'check = true ? false', [...PROMPT, ...ANSWER]],
    ['chat' as const, 'check = true ? false', [...PROMPT, ...ANSWER, USER]],
  ])('reasons behind the answer, as a %s judge, and is read there alone', async (mode, prompt, begins) => {
    const judge = writing(mode, 'generate', prompt)
    const clear = tokenOf('wise')
    const world = says(judge, (asked) => (asked.includes(clear) ? '6 + 4 check = false' : 'check = true'))
    const { solve, engine } = solverOn(world)
    const solution = await solve({ strategy: 'greedy', explain: true, reward: { format: 0 } })

    expect(engine.calls).toMatchObject({ generate: 2, score: 0 })
    expect(engine.judged).toHaveLength(2)
    for (const asked of engine.judged) expect(asked.slice(0, begins.length)).toEqual(begins)
    expect(solution.candidates![0]!.rewardTerms).toMatchObject({
      'verifier.correctness': 0,
      'verifier.clarity': -1,
    })
    expect(solution.reward).toBeCloseTo(-2 / 3, 12)
    const fed = engine.judged.reduce((sum, asked) => sum + asked.length - PROMPT.length - ANSWER.length, 0)
    expect(solution.usage.rewardTokens).toBe(fed + 4 + 7)
    // What the judge writes is no part of the answers.
    expect(solution.usage.generatedTokens).toBe(ANSWER.length)
  })

  test.each([
    ['check = true', 'a prefill without a marker', 'wise', 0],
    ['true', 'a marker at the end of the prefill', 'wise check =', 0],
    ['', 'nothing after the prefill', 'wise check =', -1],
    ['a check = true', 'a verdict inside a thought', 'wise', -1],
  ])('%j: %s', async (text, _, prefill, expected) => {
    const judge = { ...writing('chat', 'generate', '?'), prefill }
    const world: World = {
      ...says(judge, () => text),
      codec: {
        splitThought: (said, before) => ({
          reasoning: said,
          final: before !== undefined && said.startsWith('a ') ? null : said,
        }),
      },
    }
    const { reward } = await solverOn(world).solve({ strategy: 'greedy', reward: { format: 0 } })
    expect(reward).toBe(expected)
  })

  test('that says nothing approves of nothing, whatever its prompt shows', async () => {
    const world = says(writing('continuation', 'generate', 'check = true'), () => '')
    expect((await solverOn(world).solve({ strategy: 'greedy', reward: { format: 0 } })).reward).toBe(-1)
  })

  test('that goes on and on has not judged', async () => {
    const world = says(writing('continuation', 'generate', '?'), () => `check = true ${'; '.repeat(12)}`)
    expect((await solverOn(world).solve({ strategy: 'greedy', reward: { format: 0 } })).reward).toBe(-1)
  })

  test('and runs out of time leaves the draft unjudged, and the answer there', async () => {
    let batches = 0
    const world = {
      ...says(writing('continuation', 'generate', '?'), () => 'check = true'),
      before: async (call: string) => {
        if (call === 'generate' && ++batches === 2) await setTimeout(60)
      },
    }
    const solution = await solverOn(world).solve({ budget: { maxMs: 30 } })

    expect(solution).toMatchObject({ answer: '1', reward: -1, stopped: 'maxMs', iterations: 0 })
  })

  test('gives marks: the mean of what is read, and 0 where nothing can be', async () => {
    const marks = (text: string) => says(writing('continuation', 'score', '?'), () => text)
    const rewardOf = async (text: string) =>
      (await solverOn(marks(text)).solve({ strategy: 'greedy', reward: { format: 0 } })).reward

    expect(await rewardOf('check = 1')).toBe(0)
    expect(await rewardOf('check = 7')).toBe(-1)
    expect(await rewardOf('wise')).toBe(-1)
  })

  test('judges all regenerations and all criteria of a step in one batch', async () => {
    const judge = writing('continuation', 'generate', '?')
    const right = tokenOf('c')
    const world = {
      ...TWO_FLIPS,
      profile: { judge },
      says: (asked: readonly number[]) => `check = ${asked.includes(right)}`,
    }
    const { solve, engine } = solverOn(world)
    const solution = await solve()

    expect(solution).toMatchObject({ answer: '3', stopped: 'reward' })
    // The draft and each evaluation: one batch to answer, one to judge.
    expect(engine.calls.generate).toBe(2 + 2 * solution.evaluations)
  })

  test('keeps room for what it may write', () => {
    const context = { question: '6 + 4 = ?', messages: [], prompt: PROMPT }
    const room = (verdict: Judge['verdict']) =>
      createVerdicts(createLinearModel(worldOf(writing('continuation', verdict, '?'), {}))).room(context, 256)

    expect(room('logit') - room('generate')).toBe(12)
    expect(room('score')).toBe(room('generate'))
  })

  test('needs a marker', () => {
    const { marker: _, ...judge } = writing('continuation', 'score', '?')
    expect(() => solverOn(worldOf(judge, {}))).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }))
  })
})
