import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  depths,
  families,
  isHeldOut,
  makeProblems,
  solve,
  splits,
} from '../../../models/recurrent/problems.ts'

interface FileProblem {
  readonly question: string
  readonly answer: string
  readonly family: string
  readonly depth: number
}

function readModelFile(name: string): string {
  return readFileSync(new URL(`../../../models/recurrent/${name}`, import.meta.url), 'utf8')
}

const fixed: Record<'train' | 'test' | 'transfer', FileProblem[]> = JSON.parse(readModelFile('problems.json'))

describe('problems of the recurrent model', () => {
  it('agree with the Python task on the answer and on the held-out hash', () => {
    expect(fixed.train.length).toBeGreaterThanOrEqual(1500)
    expect(fixed.test.length).toBeGreaterThanOrEqual(500)
    expect(fixed.transfer.length).toBeGreaterThanOrEqual(200)
    for (const [part, problems] of Object.entries(fixed)) {
      for (const { question, answer } of problems) {
        expect(solve(question), question).toBe(answer)
        expect(isHeldOut(question), question).toBe(part !== 'train')
      }
    }
  })

  it('ask no fixed question twice, and the transfer family in no other part', () => {
    const all = Object.values(fixed).flat()
    expect(new Set(all.map(({ question }) => question)).size).toBe(all.length)
    const known = new Set([...fixed.train, ...fixed.test].map(({ family }) => family))
    expect(fixed.transfer.filter(({ family }) => known.has(family))).toEqual([])
  })

  it.each(splits)('stay in the depths and on the side of the hash of split %s', (split) => {
    const problems = makeProblems({ split, count: 300, seed: 3 })
    const [shortest, longest] = depths[split]
    expect(new Set(problems.map(({ family }) => family))).toEqual(new Set(families))
    expect(Math.min(...problems.map(({ depth }) => depth))).toBe(shortest)
    expect(Math.max(...problems.map(({ depth }) => depth))).toBe(longest)
    expect(problems.filter(({ question }) => isHeldOut(question) !== (split !== 'train'))).toEqual([])
  })

  it('have the depth that their text shows', () => {
    const operations = { sum: / [-+*] /g, ball: / [a-e]{2}(?= )/g, walk: /[<>^]/g }
    for (const { question, family, depth } of makeProblems({ split: 'train', count: 200, seed: 1 })) {
      expect(question.match(operations[family]), question).toHaveLength(depth)
    }
  })

  it('use words of the tokenizer only', () => {
    const { vocab }: { vocab: Record<string, number> } = JSON.parse(readModelFile('tokenizer.json')).model
    for (const { question, answer } of makeProblems({ split: 'unseen', count: 300, seed: 2 })) {
      const unknown = [...question.split(' '), answer].filter((word) => !(word in vocab))
      expect(unknown, question).toEqual([])
    }
  })

  it('depend on the options alone, and a larger count only adds', () => {
    const ten = makeProblems({ split: 'heldout', count: 10, seed: 5, families: ['walk'] })
    expect(new Set(ten.map(({ family }) => family))).toEqual(new Set(['walk']))
    expect(makeProblems({ split: 'heldout', count: 20, seed: 5, families: ['walk'] }).slice(0, 10)).toEqual(
      ten,
    )
    expect(makeProblems({ split: 'heldout', count: 10, seed: 6, families: ['walk'] })).not.toEqual(ten)
  })

  it('refuse a text that is no question of the task', () => {
    expect(() => solve('tree a b ?')).toThrow('solve: expected a question of sum, ball, walk, got tree a b ?')
  })
})
