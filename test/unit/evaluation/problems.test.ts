import { describe, expect, test } from 'vitest'
import { readProblems } from '#evaluation'

const read = (...lines: unknown[]) =>
  readProblems(
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    'p.jsonl',
  )

describe('a line', () => {
  test.each(['question', 'problem', 'prompt'])('names its question %s', (name) => {
    expect(read({ [name]: '1 + 1?', answer: '2' })).toMatchObject([{ question: '1 + 1?', reference: '2' }])
  })

  test.each([
    ['42', '42'],
    [42, '42'],
    ['She sells 24 clips.\n48 + 24 = <<48+24=72>>72\n#### 72', '72'],
    ['Both are right: $x = \\boxed{\\frac{1}{2}}$.', '\\frac{1}{2}'],
    ['#### \\boxed{7}', '7'],
    [' Paris ', 'Paris'],
  ])('gives the answer %j as %j', (answer, reference) => {
    expect(read({ question: 'q', answer })[0]?.reference).toBe(reference)
  })

  test('has family and id, or none and its number', () => {
    expect(
      read({ question: 'a', answer: 1, family: 'sums', id: 7 }, '', { question: 'b', answer: 2 }, ''),
    ).toMatchObject([
      { id: '7', line: 1, family: 'sums' },
      { id: '3', line: 3, family: null },
    ])
  })

  test('a byte order mark and line ends of Windows are no part of it', () => {
    expect(readProblems('\uFEFF{"question":"q","answer":"1"}\r\n', 'p.jsonl')).toHaveLength(1)
  })
})

test.each([
  [['{"question": "q", "answer": '], 'p.jsonl:1: expected a JSON object'],
  [[[1, 2]], 'p.jsonl:1: expected a JSON object'],
  [
    [{ question: 'q', answer: 1 }, { answer: 1 }],
    'p.jsonl:2: expected a text in one of question, problem, prompt',
  ],
  [[{ problem: 7, answer: 1 }], 'p.jsonl:1: expected a text in one of question, problem, prompt'],
  [[{ question: 'q' }], 'p.jsonl:1: expected a text or a number in answer'],
  [[{ question: 'q', answer: 'so ####  ' }], 'p.jsonl:1: expected an answer, got an empty one'],
  [[{ question: '', answer: '1' }], 'p.jsonl:1: expected 1 or more characters in question'],
  [[{ prompt: 'a'.repeat(16_385), answer: '1' }], 'p.jsonl:1: expected at most 16384 characters in prompt'],
  [[{ question: 'q', answer: 1, family: 3 }], 'p.jsonl:1: expected a text in family'],
  [[{ question: 'q', answer: 1, id: {} }], 'p.jsonl:1: expected a text or a number in id'],
  [
    [
      { question: 'q', answer: 1, id: 'a' },
      { question: 'r', answer: 1, id: 'a' },
    ],
    'p.jsonl:2: expected an id of its own, got "a" of line 1',
  ],
  [['', ' '], 'p.jsonl: expected problems, got none'],
])('refuses %j', (lines, message) => {
  expect(() => read(...(lines as unknown[]))).toThrow(message)
})
