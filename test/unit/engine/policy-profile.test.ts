/** @file The policy of a profile is checked as that of an artifact is: by one schema, and by the order of its bands. */

import { expect, test } from 'vitest'
import { readModelProfile } from '../../../src/engine/model-profile.ts'

const VOTE = { from: 0, strategy: 'majority', samples: 8 }
const KEEP = { from: 0.7, strategy: 'greedy', questions: 40, accuracy: 0.5, tokens: 61.5 }

const read = (policy: object) =>
  readModelProfile({
    solver: { system: '' },
    judge: {
      mode: 'chat',
      criteria: [
        { name: 'correctness', prompt: 'Is it right?', weight: 1, true: ['True'], false: ['False'] },
      ],
    },
    answer: { kind: 'number' },
    defaults: { policy },
  }).defaults.policy

test('is read as it is written', () => {
  const policy = { signal: 'verifier', minimal: [{ from: 0, strategy: 'greedy' }], high: [VOTE, KEEP] }
  expect(read(policy)).toEqual(policy)
})

test.each([
  ['about nothing known', { signal: 'luck', medium: [VOTE] }, '/signal must be "verifier" or "judge"'],
  [
    'with an unknown strategy',
    { signal: 'judge', medium: [{ ...VOTE, strategy: 'lto' }] },
    '/medium/0/strategy must be "greedy" or "majority" or "best-of-n" or "fork" or "latentseek"',
  ],
  ['with an unknown effort', { signal: 'judge', most: [VOTE] }, '/most is not a field of the profile'],
  [
    'that does not begin at 0',
    { signal: 'judge', low: [KEEP] },
    '/low must have bands that begin at 0 and ascend',
  ],
  [
    'out of order',
    { signal: 'judge', medium: [VOTE], high: [VOTE, KEEP, KEEP] },
    '/high must have bands that begin at 0 and ascend',
  ],
])('%s is refused', (_, policy, fault) => {
  expect(() => read(policy)).toThrow(`/defaults/policy${fault}`)
})
