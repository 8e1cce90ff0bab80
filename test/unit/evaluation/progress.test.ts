import { expect, test } from 'vitest'
import { createEvaluationProgress, listTasks } from '#evaluation'
import { ARMS, PROBLEMS, recordOf } from '../../support/evaluations.ts'

function streamOf(isTTY: boolean) {
  const written: string[] = []
  return { written, stream: { isTTY, write: (text: string) => written.push(text) } }
}

test('a bar with the time left, by the pace of each arm', () => {
  const { written, stream } = streamOf(true)
  const tasks = listTasks(PROBLEMS, ARMS, [1])
  const before = [recordOf({ arm: 'vote', seconds: 30 })]
  const progress = createEvaluationProgress(stream, before, tasks, 4)
  progress.add(recordOf({ arm: 'greedy', seconds: 10 }))
  // 11 of greedy at 10 s and 12 of vote at 30 s, 4 at once: 117.5 s.
  expect(written.at(-1)).toBe('\r[##......................] 8% of 25 answers, 2 min left  greedy\u001b[K')
  progress.end()
  expect(written.at(-1)).toBe('\n')
})

test('nothing where there is no terminal', () => {
  const { written, stream } = streamOf(false)
  const progress = createEvaluationProgress(stream, [], listTasks(PROBLEMS, ARMS, [1]), 4)
  progress.add(recordOf({}))
  progress.end()
  expect(written).toEqual([])
})
