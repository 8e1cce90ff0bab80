import { describe, expect, test } from 'vitest'
import type { ModelProfile } from '#engine'
import { splitThought } from '../../../src/engine/thinking.ts'
import { createAnswerFormat } from '../../../src/solving/judging/answer-format.ts'

const THINKER = { splitThought: (text: string) => splitThought(text, { open: '<t>', close: '</t>' }, false) }

type AnswerProfile = ModelProfile['answer']

const extract = (profile: Partial<AnswerProfile>, text: string) =>
  createAnswerFormat({ normalise: ['trim'], ...profile }).extract(text)

describe('where the answer stands', () => {
  test.each([
    [{ pattern: 'ans (\\d+)' }, 'ans 1 ; no, ans 12', '12'],
    [{ pattern: 'ans (\\d+)' }, 'no answer', null],
    [{ pattern: 'yes|no' }, 'yes or no', 'no'],
    [{ pattern: 'ans(.*)' }, 'ans   ', null],
    [{ pattern: 'ans (\\d+)', kind: 'boxed' as const }, '\\boxed{3} ans 4', '4'],
    [{ kind: 'boxed' as const }, 'so \\boxed{1}, or rather \\boxed{\\frac{1}{2}}.', '\\frac{1}{2}'],
    [{ kind: 'boxed' as const }, 'cut short: \\boxed{7} and \\boxed{8', '7'],
    [{ kind: 'boxed' as const }, '\\boxed{', null],
    [{ kind: 'boxed' as const }, '\\boxed{ }', null],
    [{ kind: 'json' as const }, 'Sure: {"thought process": "a {b}", "final answer": "42"}', '42'],
    [{ kind: 'json' as const }, '{"answer": 3.5} trailing', '3.5'],
    [{ kind: 'json' as const }, '{"answer": {"value": 1}}', null],
    [{ kind: 'json' as const }, '{"steps": [{"n": 1}], "final_answer": true}', 'true'],
    [{ kind: 'json' as const }, '{"answer": "cut', null],
    [{ kind: 'json' as const }, '}}}}', null],
    [{ kind: 'number' as const }, 'about 3 apples, -1,234.5 in all.', '-1,234.5'],
    [{ kind: 'number' as const }, 'none', null],
    [{}, '  whole text \n', 'whole text'],
    [{}, '   ', null],
  ])('%o in %j is %j', (profile, text, expected) => {
    expect(extract(profile, text)).toBe(expected)
  })

  test.each([
    ['5 and 6; Final: 7', '7', '5 and 6;'],
    ['Final: 5 no, Final: 7', '7', 'Final: 5 no,'],
    ['5 and 6', null, '5 and 6'],
    ['Final:', null, ''],
  ])('the answer in %j, which stands after a text of the profile, is %j', (text, answer, reasoning) => {
    const format = createAnswerFormat({ kind: 'number', after: 'Final:', normalise: ['trim'] })
    expect(format.extract(text)).toBe(answer)
    expect(format.split(text).reasoning).toBe(reasoning)
  })

  test.each([
    ['<t> 5, Final: 6 </t> so Final: 7', '7', '5, Final: 6'],
    ['<t> 5, Final: 6 </t> so 7', null, '5, Final: 6'],
    ['<t> 5, Final: 6', null, '5, Final: 6'],
  ])('the answer in %j, which stands after the thought, is %j', (text, answer, reasoning) => {
    const format = createAnswerFormat({ kind: 'number', after: 'Final:', normalise: [] }, THINKER)
    expect(format.extract(text)).toBe(answer)
    expect(format.split(text).reasoning).toBe(reasoning)
  })

  test('the text of the profile may be the tag that closes the thought', () => {
    const format = createAnswerFormat({ kind: 'number', after: '</t>', normalise: [] }, THINKER)
    expect(format.extract('<t> 5 </t> 7')).toBe('7')
    expect(format.extract('7')).toBeNull()
  })

  test('a profile that is no regular expression is refused when the solver is made', () => {
    expect(() => createAnswerFormat({ pattern: '(', normalise: [] })).toThrow(
      expect.objectContaining({ code: 'MODEL_INVALID', message: expect.stringContaining('answer.pattern') }),
    )
  })

  test('what a pattern looks at is bounded: text without end costs no more than its tail', () => {
    const text = `${'a'.repeat(2_000_000)} ans 5`
    const started = performance.now()

    // Quadratic in the text it sees.
    expect(extract({ pattern: 'a*b|ans (\\d)' }, text)).toBe('5')
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  test.each(['boxed', 'json'] as const)('%s takes hostile text in its stride', (kind) => {
    const started = performance.now()
    for (const text of [
      '{'.repeat(100_000),
      '}'.repeat(100_000),
      '\\boxed{'.repeat(20_000),
      '{}'.repeat(50_000),
    ]) {
      extract({ kind }, text)
    }
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})

describe('which answers are the same', () => {
  test.each([
    ['1,234.50', '1234.5'],
    ['$1,234.5', '1234.5'],
    ['+7', '7'],
    ['-0', '0'],
    ['007', '7'],
    ['5.', '5'],
    ['1e3', '1000'],
    ['.5', '0.5'],
    ['12345678901234567891', '12345678901234567891'],
    ['three', 'three'],
    ['1/2', '1/2'],
  ])('as a number %j is %j', (answer, expected) => {
    expect(createAnswerFormat({ normalise: ['trim', 'number'] }).normalise(answer)).toBe(expected)
  })

  test('steps run in the order of the profile, on callers’ answers as on extracted ones', () => {
    const format = createAnswerFormat({ pattern: 'ans (.*)', normalise: ['trim', 'lowercase'] })
    expect(format.normalise('  YES ')).toBe('yes')
    expect(format.extract('ans YES ')).toBe(format.normalise('Yes'))
  })
})
