/** @file Questions to begin with, of the kind that the loaded model was made for. */

const KINDS: readonly { readonly model: RegExp; readonly questions: readonly string[] }[] = [
  {
    model: /^order-of-operations/,
    questions: [
      'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?',
      'Tom at the exam: 3 + 5 * 2 - 4 = ?',
      'Zoe at the mirror: 9 - 3 - 2 * 4 = ?',
      'Max at the till: 8 - 2 * 3 + 1 = ?',
    ],
  },
  {
    model: /coder|code/i,
    questions: [
      'What does this print in Python? print(sum(x * x for x in range(4)))',
      'How many times does the loop run: for (let i = 10; i > 0; i -= 3)?',
      'What is the value of int("101", 2) + 1 in Python?',
    ],
  },
]

const OTHERS = [
  'A train leaves at 14:40 and arrives at 17:05. How many minutes does it take?',
  'A shirt costs 40 euros after a discount of 20 %. What did it cost before?',
  'What is the sum of the first ten odd numbers?',
] as const

export const examplesFor = (model: string): readonly string[] =>
  KINDS.find((kind) => kind.model.test(model))?.questions ?? OTHERS
