import { describe, expect, test } from 'vitest'
import { checkNames, parseArm, readArms } from '#evaluation'

const DEFAULTS = { retrieval: false, learn: false, explain: false }

describe('an arm of the command line', () => {
  test.each([
    ['greedy', 'greedy', { strategy: 'greedy' }],
    [
      'majority:samples=8,temperature=.8',
      'majority:samples=8,temperature=.8',
      { strategy: 'majority', samples: 8, sampling: { temperature: 0.8 } },
    ],
    ['name=lto8:strategy=lto,samples=8', 'lto8', { strategy: 'lto', samples: 8 }],
    ['name=x:auto:maxIterations=3', 'x', { strategy: 'auto', budget: { maxIterations: 3 } }],
    [
      'auto:retrieval.topK=2,sampling.topK=5,topP=0.9,format=0,weaver=false',
      'auto:retrieval.topK=2,sampling.topK=5,topP=0.9,format=0,weaver=false',
      {
        strategy: 'auto',
        retrieval: { topK: 2 },
        sampling: { topK: 5, topP: 0.9 },
        reward: { format: 0 },
        weaver: false,
      },
    ],
    ['name=l:auto:learn=true,explain=true', 'l', { strategy: 'auto', learn: true, explain: true }],
  ])('%s', (text, name, request) => {
    expect(parseArm(text)).toEqual({ name, request: { ...DEFAULTS, ...request } })
  })

  test.each([
    ['greddy', 'arm "greddy": strategy: expected one of auto, greedy, latentseek, majority, lto'],
    ['majority:sample=8', 'sampling.temperature'],
    ['majority:sample=8', 'got "sample"'],
    ['majority:topK=8', 'arm "majority:topK=8": expected one of sampling.topK, retrieval.topK, got topK'],
    ['majority:samples=many', 'samples: expected an integer'],
    ['majority:samples=65', 'samples: expected a number <= 64'],
    ['majority:sampling.tempo=1', 'sampling/tempo: unknown field'],
    ['majority:samples', 'expected SETTING=VALUE, got "samples"'],
    ['majority:', 'expected SETTING=VALUE, got ""'],
    ['samples=8', 'expected a strategy, got none'],
    ['name=:greedy', 'expected a name, got an empty one'],
    ['greedy:reference=4', 'expected no reference'],
    ['greedy:seed=4', 'expected no seed'],
    ['greedy:question=why', 'expected no question'],
    ['greedy:examples=0', 'examples: expected a whole number from 1 to 16'],
    ['greedy:examples=few', 'examples: expected a whole number from 1 to 16'],
  ])('%s is refused by name', (text, message) => {
    expect(() => parseArm(text)).toThrow(message)
  })

  test('the settings that an unknown one could have been do not name reserved ones', () => {
    expect(() => parseArm('greedy:x=1')).not.toThrow(/reference|seed/)
  })
})

test('examples are a setting of the evaluation, not of the request', () => {
  const request = { ...DEFAULTS, strategy: 'greedy' }
  expect(parseArm('name=e:greedy:examples=3')).toEqual({ name: 'e', request, examples: 3 })
  expect(readArms('[{"name":"e","strategy":"greedy","examples":2}]', 'f')).toEqual([
    { name: 'e', request, examples: 2 },
  ])
})

describe('a file of arms', () => {
  test('has bodies of POST /solve with a name', () => {
    const text = JSON.stringify([
      { name: 'lto8', strategy: 'lto', samples: 8, sampling: { temperature: 0.5 } },
    ])
    expect(readArms(text, 'arms.json')).toEqual([
      { name: 'lto8', request: { ...DEFAULTS, strategy: 'lto', samples: 8, sampling: { temperature: 0.5 } } },
    ])
  })

  test.each([
    ['{', 'arms.json: expected JSON'],
    ['{}', 'arms.json: expected a list of arms'],
    ['[{"strategy":"lto"}]', 'arms.json: expected an object with a name, as item 0'],
    ['[{"name":"a","strategy":"lto","sample":8}]', 'arm "a": sample: unknown field'],
    ['[{"name":"a","strategy":"lto","reference":"8"}]', 'arm "a": expected no reference'],
  ])('%s is refused', (text, message) => {
    expect(() => readArms(text, 'arms.json')).toThrow(message)
  })
})

test('two arms of one name are refused', () => {
  expect(() => checkNames([parseArm('greedy'), parseArm('name=greedy:lto')])).toThrow(
    'arm "greedy": expected a name of its own',
  )
})
