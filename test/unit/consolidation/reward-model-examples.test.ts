import { expect, test } from 'vitest'
import type { StoredThought } from '#episodes'
import { readRewardModelExamples } from '../../../src/consolidation/reward-model-examples.ts'
import { packed, thoughtOf } from '../../support/episodes.ts'

test('weighs a label by its source, by the agreement of the samples and by the answers it stands for', async () => {
  const stored = (over: Partial<StoredThought>): StoredThought => ({
    tenantId: 'tenant-a',
    episodeId: 'episode-1',
    position: 0,
    question: 'What is 3 x 4?',
    answer: '12',
    verifier: -0.1,
    thought: packed(thoughtOf(1).data, 3),
    last: null,
    tokens: [1, 2],
    label: true,
    labelSource: 'majority',
    labelWeight: 1,
    standsFor: 1,
    ...over,
  })
  const training = {
    async *labelledThoughts() {
      yield stored({ labelWeight: 0.5 })
      yield stored({ labelWeight: 0.75 })
      yield stored({ labelSource: 'feedback' })
      yield stored({ labelSource: 'self' })
      yield stored({ labelWeight: 0.5, standsFor: 3 })
    },
  }
  const { signal } = new AbortController()
  const weights: number[] = []
  await readRewardModelExamples(training, 'model-1', [], { signal }, async ({ described }) => {
    weights.push(described.weight)
  })
  expect(weights).toEqual([0.25, 0.375, 1, 0.25, 0.75])
})
