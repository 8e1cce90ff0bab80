import { describe, expect, it } from 'vitest'
import { type Candidate, type Feedback, labelCandidates } from '#episodes'
import { newCandidate } from '../../support/episodes.ts'

function label(
  candidates: readonly Candidate[],
  over: { feedback?: Feedback; reference?: string } = {},
): string[] {
  const labels = labelCandidates({
    feedback: over.feedback ?? null,
    reference: over.reference ?? null,
    candidates,
  })
  return labels.map(({ label, labelSource }) => `${label} ${labelSource}`)
}

/** Returns one sample per answer, the first one chosen. */
function samples(...answers: (string | null)[]): Candidate[] {
  return answers.map((answer, index) => newCandidate({ kind: 'sample', answer, chosen: index === 0 }))
}

describe('labelCandidates', () => {
  it('prefers the reference to all sources but feedback', () => {
    expect(label(samples('1', '1', '2', null), { reference: '2' })).toEqual([
      'false reference',
      'false reference',
      'true reference',
      'false reference',
    ])
  })

  it('applies the majority of at least two samples to every kind of candidate', () => {
    const draft = newCandidate({ answer: '2', chosen: false })
    expect(label([draft, ...samples('1', '1', '2')])).toEqual([
      'false majority',
      'true majority',
      'true majority',
      'false majority',
    ])
  })

  it('finds no majority in a tie, in one sample, or without answers', () => {
    for (const tied of [samples('1', '2'), samples('1', '2', '2', '1', null), samples('1')]) {
      expect(label(tied).every((text) => text.endsWith(' self'))).toBe(true)
    }
    expect(label(samples(null, null))).toEqual(['false self', 'false self'])
  })

  it('finds no majority in a plurality below one half of all samples, those without an answer included', () => {
    for (const answers of [
      ['a', 'a', 'b', 'c', 'd', 'e', 'f', 'g'],
      ['a', 'a', null, null, null],
      ['a', 'a', 'a', 'b', 'c', 'd', 'e'],
    ]) {
      expect(label(samples(...answers)).every((text) => text.endsWith(' self'))).toBe(true)
    }
    expect(label(samples('a', 'a', 'b', null))).toEqual([
      'true majority',
      'true majority',
      'false majority',
      'false majority',
    ])
  })

  it('weighs a majority by agreement, and other sources by 1', () => {
    const weights = (candidates: readonly Candidate[], reference: string | null = null) =>
      labelCandidates({ feedback: null, reference, candidates }).map(({ labelWeight }) => labelWeight)
    expect(weights(samples('a', 'a', 'a', 'b'))).toEqual([0.75, 0.75, 0.75, 0.75])
    expect(weights(samples('a', 'a', 'a', 'b'), 'a')).toEqual([1, 1, 1, 1])
    expect(weights([newCandidate()])).toEqual([1])
  })

  it('counts no votes of drafts and regenerations', () => {
    const drafts = [
      newCandidate({ answer: '2' }),
      newCandidate({ kind: 'regeneration', answer: '2', chosen: false }),
    ]
    const voters = samples('1', '1').map((sample) => ({ ...sample, chosen: false }))
    expect(label([...drafts, ...voters]).slice(0, 2)).toEqual(['false majority', 'false majority'])
  })

  it('falls back on self-reward: whether the candidate meets the bar for admission', () => {
    expect(label([newCandidate({ meetsAdmission: true })])).toEqual(['true self'])
    expect(label([newCandidate({ meetsAdmission: false })])).toEqual(['false self'])
    expect(label([newCandidate({ meetsAdmission: true, answer: null })])).toEqual(['false self'])
  })

  describe('with feedback', () => {
    const mixed = samples('1', '2', '1', '2', '2')

    it('"correct" makes the returned answer right and every other wrong', () => {
      expect(label(mixed, { feedback: { correct: true }, reference: '2' })).toEqual([
        'true feedback',
        'false feedback',
        'true feedback',
        'false feedback',
        'false feedback',
      ])
    })

    it('"wrong" labels the returned answer alone; the others are labelled without its votes', () => {
      expect(label(mixed, { feedback: { correct: false } })).toEqual([
        'false feedback',
        'true majority',
        'false feedback',
        'true majority',
        'true majority',
      ])
      expect(label(samples('1', '1', '1', '2'), { feedback: { correct: false } })).toEqual([
        'false feedback',
        'false feedback',
        'false feedback',
        'true self',
      ])
    })

    it('an answer labels all candidates', () => {
      expect(label(mixed, { feedback: { answer: '2' }, reference: '1' })).toEqual([
        'false feedback',
        'true feedback',
        'false feedback',
        'true feedback',
        'true feedback',
      ])
    })

    it('"correct" on a returned candidate without an answer makes others without an answer wrong', () => {
      expect(label(samples(null, null, '1'), { feedback: { correct: true } })).toEqual([
        'true feedback',
        'false feedback',
        'false feedback',
      ])
    })
  })

  it('labels an episode without a returned candidate, or without any', () => {
    const none = samples('1', '1').map((sample) => ({ ...sample, chosen: false }))
    expect(label(none, { feedback: { correct: true } })).toEqual(['false feedback', 'false feedback'])
    expect(label([])).toEqual([])
  })
})
