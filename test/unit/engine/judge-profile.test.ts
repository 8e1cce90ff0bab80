import { describe, expect, test } from 'vitest'
import { checkVerdictWords, readModelProfile } from '../../../src/engine/model-profile.ts'

const CRITERION = { name: 'correctness', prompt: 'Is it right?', weight: 1 }
const WORDS = { true: ['True'], false: ['False'] }

/** A tokenizer of letters. */
const CODEC = { encode: (text: string) => Array.from(text.trim(), (letter) => letter.charCodeAt(0)) }

function read(judge: object, rest: object = {}) {
  const profile = readModelProfile({
    solver: { system: '' },
    judge: { mode: 'chat', ...judge },
    answer: { kind: 'number' },
    ...rest,
  })
  checkVerdictWords(profile, CODEC)
  return profile
}

describe('a judge', () => {
  test('reads logits and takes one rollout by default', () => {
    const { judge, defaults } = read({ criteria: [{ ...CRITERION, ...WORDS }] })
    expect(judge).toMatchObject({ verdict: 'logit', maxNewTokens: 512 })
    expect(defaults).toMatchObject({ rollouts: 1, rolloutTemperature: 1 })
  })

  test('may write: then verdict words may share their first token', () => {
    const words = { true: ['correct'], false: ['clearly not'] }
    const criteria = [{ ...CRITERION, ...words }]
    expect(read({ verdict: 'generate', marker: 'V:', criteria }).judge.criteria[0]).toMatchObject(words)
    expect(() => read({ criteria })).toThrow(/first token is also that of a true verdict/)
  })

  test('may give a score, and needs no verdict words for it', () => {
    const { judge } = read({ verdict: 'score', marker: 'Score:', criteria: [CRITERION] })
    expect(judge.criteria[0]).toMatchObject({ true: [], false: [] })
  })

  test.each([
    ['no marker', { verdict: 'generate', criteria: [{ ...CRITERION, ...WORDS }] }, /\/judge has no 'marker'/],
    ['no marker for marks', { verdict: 'score', criteria: [CRITERION] }, /\/judge has no 'marker'/],
    ['an empty marker', { verdict: 'score', marker: '', criteria: [CRITERION] }, /\/judge\/marker/],
    ['no words', { verdict: 'generate', marker: 'V:', criteria: [CRITERION] }, /no 'true' verdict words/],
    ['no words to read in logits', { criteria: [{ ...CRITERION, true: ['a'] }] }, /no 'false' verdict words/],
    [
      'one word on both sides',
      { verdict: 'generate', marker: 'V:', criteria: [{ ...CRITERION, true: ['Yes'], false: [' yes'] }] },
      /has ' yes' for a true and for a false verdict/,
    ],
    [
      'a blank word',
      { verdict: 'generate', marker: 'V:', criteria: [{ ...CRITERION, true: [' '], false: ['no'] }] },
      /only white space/,
    ],
    [
      'a prefill without a turn',
      { mode: 'continuation', prefill: 'Verdict:', criteria: [{ ...CRITERION, ...WORDS }] },
      /\/judge\/prefill begins a turn/,
    ],
    ['a verdict of another kind', { verdict: 'vibes', criteria: [CRITERION] }, /\/judge\/verdict/],
  ])('with %s is refused', (_name, judge, fault) => {
    expect(() => read(judge)).toThrow(fault)
  })
})

test('embeddings pooled by their mean are refused because the engine cannot pool them', () => {
  const judge = { criteria: [{ ...CRITERION, ...WORDS }] }
  expect(() => read(judge, { embedding: { token: 'question' } })).toThrow(/has no 'layer'/)
  expect(() => read(judge, { embedding: { layer: 1 } })).toThrow(/the token is 'last'/)
  expect(() => read(judge, { embedding: { token: 'mean', layer: 1 } })).toThrow(/embedding\/token/)
})
