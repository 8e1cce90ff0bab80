import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  evaluateChain,
  isHeldOut,
  makeProblems,
  trainedFamilies,
  unseenFamilies,
} from '../../../models/order-of-operations/problems.ts'

interface GoldenChain {
  readonly chain: string
  readonly heldOut: boolean
  readonly left: number
  readonly times: number
  readonly right: number
}

const golden: { chains: GoldenChain[] } = JSON.parse(
  readFileSync(new URL('../../fixtures/golden/order-of-operations-chains.json', import.meta.url), 'utf8'),
)

function chainOf(question: string): string[] {
  const [, chain = ''] = question.match(/: (.*) = \?$/) ?? []
  return chain.split(' ')
}

function nounOf(question: string): string {
  return question.match(/ at the (\w+):/)?.[1] ?? ''
}

describe('order-of-operations problems', () => {
  it('agree with the Python task on the held-out hash and on every convention', () => {
    expect(golden.chains).toHaveLength(1000)
    for (const { chain, heldOut, ...results } of golden.chains) {
      const symbols = [...chain]
      expect(isHeldOut(symbols), chain).toBe(heldOut)
      const ours = {
        left: evaluateChain(symbols, 'left'),
        times: evaluateChain(symbols, 'times'),
        right: evaluateChain(symbols, 'right'),
      }
      expect(ours, chain).toEqual(results)
    }
  })

  it('keep training chains and held-out chains apart', () => {
    const train = makeProblems({ split: 'train', count: 500, seed: 3 }).map((p) => chainOf(p.question))
    const heldOut = makeProblems({ split: 'heldout', count: 500, seed: 3 }).map((p) => chainOf(p.question))
    expect(train.filter(isHeldOut)).toEqual([])
    expect(heldOut.filter((chain) => !isHeldOut(chain))).toEqual([])
  })

  it('ask unseen families only at places that no training text names', () => {
    const known = new Set(trainedFamilies.flatMap((family) => family.nouns))
    const places = new Set(
      makeProblems({ split: 'unseen', count: 300, seed: 1 }).map((p) => nounOf(p.question)),
    )
    expect(places).toEqual(new Set(unseenFamilies.flatMap((family) => family.nouns)))
    expect([...places].filter((noun) => known.has(noun))).toEqual([])
  })

  it('answer by the convention of the family that the place belongs to', () => {
    for (const problem of makeProblems({ split: 'heldout', count: 300, seed: 2 })) {
      const family = trainedFamilies.find((f) => f.nouns.includes(nounOf(problem.question)))
      expect(family?.family).toBe(problem.family)
      expect(problem.answer).toBe(String(evaluateChain(chainOf(problem.question), family!.rule)))
    }
  })

  it('depend on the seed alone, and a larger count only adds', () => {
    const ten = makeProblems({ split: 'heldout', count: 10, seed: 5 })
    expect(makeProblems({ split: 'heldout', count: 20, seed: 5 }).slice(0, 10)).toEqual(ten)
    expect(makeProblems({ split: 'heldout', count: 10, seed: 6 })).not.toEqual(ten)
  })
})

describe('scripts/problems.ts', () => {
  function run(...args: string[]): string {
    return execFileSync(process.execPath, ['scripts/problems.ts', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
  }

  it('prints one JSON object a line', () => {
    const lines = run('--split', 'unseen', '--count', '3', '--seed', '9').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      makeProblems({ split: 'unseen', count: 3, seed: 9 }),
    )
  })

  it('refuses an unknown split in one line', () => {
    expect(() => run('--split', 'test')).toThrow(/--split: expected train, heldout, unseen, got test/)
  })
})
