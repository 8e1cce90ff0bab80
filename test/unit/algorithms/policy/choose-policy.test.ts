import { describe, expect, it } from 'vitest'
import { bandOf, choosePolicy, crossValidatePolicy, type MeasuredQuestion } from '#algorithms'
import { createRandom } from '#tensor'

/** Questions whose draft is right with probability `confidence`; the arm `vote` is right with `voted(confidence)`. */
function measured(count: number, voted: (confidence: number) => number, seed = 3): MeasuredQuestion[] {
  const random = createRandom(seed)
  const isTrue = (probability: number) => Number(random.uniform() < probability)
  return Array.from({ length: count }, (_, index) => {
    const confidence = (index % 100) / 100
    return {
      confidence,
      draft: { accuracy: isTrue(confidence), tokens: 100 },
      arms: {
        vote: { accuracy: isTrue(voted(confidence)), tokens: 800 },
        spoil: { accuracy: 0, tokens: 10 },
      },
    }
  })
}

const GAINS_BELOW = (limit: number) => (confidence: number) => (confidence < limit ? 0.8 : confidence - 0.3)

describe('choosePolicy', () => {
  it('spends where it pays, and stops where it does not', () => {
    const bands = choosePolicy(measured(400, GAINS_BELOW(0.5)), { price: 0.01 })
    expect(bands.map(({ arm }) => arm)).toEqual(['vote', 'stop'])
    expect(bands[0]!.from).toBe(0)
    expect(bands[1]!.from).toBeCloseTo(0.5, 1)
    expect(bands[0]!.accuracy).toBeGreaterThan(bands[0]!.draftAccuracy + 0.3)
    expect(bands[0]!.tokens).toBe(900)
    expect(bands[1]!.tokens).toBe(100)
    expect(bands.reduce((sum, { questions }) => sum + questions, 0)).toBe(400)
  })

  it('pays only where the gain is worth its price', () => {
    // The vote costs as much as eight drafts, .48, and gains .8 less the confidence: .68 in the first quarter, .43 in the second.
    const bands = choosePolicy(measured(4000, GAINS_BELOW(0.5)), { price: 0.06 })
    expect(bands.map(({ arm }) => arm)).toEqual(['vote', 'stop'])
    expect(bands[1]!.from).toBeCloseTo(0.25, 1)
  })

  it.each([
    { name: 'no arm gains', questions: measured(400, () => 0), price: 0.001 },
    { name: 'every arm is too dear', questions: measured(400, () => 1), price: 0.2 },
  ])('stops everywhere when $name', ({ questions, price }) => {
    const bands = choosePolicy(questions, { price })
    expect(bands).toMatchObject([{ from: 0, arm: 'stop', questions: 400, tokens: 100 }])
  })

  it('has one band where the confidence says nothing', () => {
    const random = createRandom(7)
    const numbers = Array.from({ length: 20 }, () => {
      const questions = Array.from({ length: 200 }, (): MeasuredQuestion => {
        const vote = (chance: number) => ({ accuracy: Number(random.uniform() < chance), tokens: 200 })
        return {
          confidence: random.uniform(),
          draft: vote(0.3),
          arms: { vote: vote(0.5), other: vote(0.48) },
        }
      })
      return choosePolicy(questions, { price: 0.01 }).length
    })
    expect(numbers.filter((count) => count === 1).length).toBeGreaterThanOrEqual(15)
  })

  it('has one band of few questions, and of equal confidences', () => {
    expect(
      choosePolicy(
        measured(40, () => 1),
        { price: 0.01 },
      ),
    ).toHaveLength(1)
    const same = measured(400, () => 1).map((question) => ({ ...question, confidence: 0.87 }))
    expect(choosePolicy(same, { price: 0.01 })).toMatchObject([{ from: 0, arm: 'vote' }])
  })

  it('never has a band of fewer questions than the bound', () => {
    const skewed = measured(130, GAINS_BELOW(0.5)).map((question, index) => ({
      ...question,
      confidence: index < 70 ? 0.9 : question.confidence,
    }))
    for (const { questions } of choosePolicy(skewed, { price: 0.03 }))
      expect(questions).toBeGreaterThanOrEqual(30)
  })

  it('stops where questions are too few to show a gain, however clear it seems', () => {
    const won = (count: number) =>
      Array.from({ length: count }, () => ({
        confidence: 0.5,
        draft: { accuracy: 0, tokens: 100 },
        arms: { vote: { accuracy: 1, tokens: 800 } },
      }))
    for (const count of [1, 5, 29]) {
      expect(choosePolicy(won(count), { price: 0.01 })).toMatchObject([{ arm: 'stop', questions: count }])
    }
    expect(choosePolicy(won(30), { price: 0.01 })).toMatchObject([{ arm: 'vote' }])
  })

  it('pays for no arm that is as good as a cheaper one', () => {
    const questions = (lucky: number) =>
      Array.from({ length: 200 }, (_, index): MeasuredQuestion => {
        const cheap = Number(index % 5 !== 0)
        return {
          confidence: 0.5,
          draft: { accuracy: Number(index % 2 === 0), tokens: 100 },
          arms: {
            dear: { accuracy: index < 5 * lucky ? 1 : cheap, tokens: 800 },
            cheap: { accuracy: cheap, tokens: 400 },
          },
        }
      })
    expect(choosePolicy(questions(0), { price: 0.001 })).toMatchObject([{ arm: 'cheap', tokens: 500 }])
    expect(choosePolicy(questions(20), { price: 0.01 })).toMatchObject([{ arm: 'dear', tokens: 900 }])
    expect(choosePolicy(questions(20), { price: 0.03 })).toMatchObject([{ arm: 'cheap' }])
  })

  it('needs questions', () => {
    expect(() => choosePolicy([], { price: 0 })).toThrow('expected questions')
  })
})

describe('bandOf', () => {
  it('finds the band of a confidence, the first for anything below', () => {
    const bands = [{ from: 0 }, { from: 0.5 }, { from: 0.8 }]
    expect(
      [-1, 0, 0.49, 0.5, 0.79, 0.8, 1].map((confidence) => bands.indexOf(bandOf(bands, confidence))),
    ).toEqual([0, 0, 0, 1, 1, 2, 2])
  })
})

describe('crossValidatePolicy', () => {
  it('finds the gain of a policy on questions that it was not chosen on', () => {
    const { gain, accuracy, tokens } = crossValidatePolicy(measured(400, GAINS_BELOW(0.5)), { price: 0.01 })
    expect(gain.low).toBeGreaterThan(0.15)
    expect(accuracy.n).toBe(400)
    expect(tokens).toBeLessThan(750)
  })

  it('draws its folds: files list problems by family', () => {
    // Every fifth problem is of the family whose drafts are all wrong, and which the vote mends.
    const questions = Array.from({ length: 400 }, (_, index): MeasuredQuestion => {
      const isHard = index % 5 === 0
      return {
        confidence: isHard ? 0.1 : 0.9,
        draft: { accuracy: Number(!isHard), tokens: 100 },
        arms: { vote: { accuracy: 1, tokens: 800 } },
      }
    })
    expect(crossValidatePolicy(questions, { price: 0.01 }).gain.value).toBeCloseTo(0.2, 10)
  })

  it('does not take luck for a gain', () => {
    const gains = Array.from({ length: 40 }, (_, seed) => {
      const questions = measured(200, (confidence) => confidence, seed)
      return crossValidatePolicy(questions, { price: 0.01 }).gain.value
    })
    const meanGain = gains.reduce((sum, gain) => sum + gain, 0) / gains.length
    expect(Math.abs(meanGain)).toBeLessThan(0.02)
  })

  it('follows the drafts when there is one question', () => {
    expect(
      crossValidatePolicy(
        measured(1, () => 1),
        { price: 0.01 },
      ).gain.value,
    ).toBe(0)
  })
})
