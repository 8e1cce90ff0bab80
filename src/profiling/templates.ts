/** @file Prompts and judges that a profile chooses among, as far as the tokenizer can write them. */

import { isDeepStrictEqual } from 'node:util'
import type { Criterion, ModelProfile, PromptCodec } from '#engine'

/** A prompt of the solver and the place of the answer that it asks for. */
export interface PromptTemplate extends Pick<ModelProfile, 'solver' | 'answer'> {
  readonly name: string
}

const BOXED = { kind: 'boxed', compare: 'maths', normalise: ['trim'] } satisfies ModelProfile['answer']

/** Arithmetic in few words: a model that sees these answers as briefly. */
const EXAMPLES = [
  {
    question: 'Mia has 4 bags of 12 beads each and gives away 9 beads. How many beads are left?',
    answer:
      '4 bags of 12 beads are 4 * 12 = 48 beads. 48 - 9 = 39 beads are left. The answer is \\boxed{39}.',
  },
  {
    question: 'What is x if 5x - 4 = 31?',
    answer: 'Add 4 to both sides: 5x = 35. Divide both sides by 5: x = 7. The answer is \\boxed{7}.',
  },
  {
    question: 'What is 23 * 14?',
    answer: '23 * 10 = 230. 23 * 4 = 92. 230 + 92 = 322. The answer is \\boxed{322}.',
  },
] as const

const TEMPLATES: readonly PromptTemplate[] = [
  {
    name: 'boxed',
    solver: {
      system: '',
      template: '{question}\n\nReason step by step, and put your final answer within \\boxed{}.',
    },
    answer: BOXED,
  },
  {
    name: 'boxed, instruction first',
    solver: {
      system: '',
      template:
        'Solve this problem. Reason step by step, and put your final answer within \\boxed{}.\n\n{question}',
    },
    answer: BOXED,
  },
  {
    name: 'boxed, brief',
    solver: {
      system: '',
      template:
        '{question}\n\nWrite only the necessary steps, then your final answer within \\boxed{} at the end.',
    },
    answer: BOXED,
  },
  {
    name: 'boxed, worked examples',
    solver: {
      system: '',
      template: '{question}\n\nWork it out in short steps, then put the final answer within \\boxed{}.',
      examples: [...EXAMPLES],
    },
    answer: BOXED,
  },
  {
    name: 'answer line',
    solver: {
      system: '',
      template:
        '{question}\n\nReason step by step. End with a line "Answer: " and the final answer, nothing else.',
    },
    answer: {
      pattern: '[Aa]nswer:\\**\\s*([^\\n]{1,200})',
      compare: 'maths',
      normalise: ['trim'],
    },
  },
]

/**
 * Returns the prompt of the profile, then those of ours that differ from it and that the tokenizer can write: a text
 * whose tokens are read as another text was not seen by the model.
 */
export function promptTemplates(
  { solver, answer }: ModelProfile,
  codec: Pick<PromptCodec, 'encode' | 'decode'>,
): PromptTemplate[] {
  const isSame = (template: PromptTemplate) => isDeepStrictEqual(template.solver, solver)
  const own = TEMPLATES.find(isSame)?.name ?? "the profile's own"
  const others = TEMPLATES.filter(
    (template) => !isSame(template) && canWrite(codec, template.solver.template.replace('{question}', '')),
  )
  return [{ name: own, solver, answer }, ...others]
}

/** Words for a right and a wrong answer. */
const VERDICT_WORDS = [
  ['Yes', 'No'],
  ['True', 'False'],
  ['Correct', 'Incorrect'],
  ['Right', 'Wrong'],
] as const

/** Verdict words of one side, checked against the tokenizer. */
interface VerdictWord {
  readonly word: string
  /** Tokens of the word as the first of an answer. */
  readonly tokens: number
  /** Spellings that are one token each, which is that of no other word. */
  readonly spellings: readonly string[]
}

export interface JudgeTemplate {
  readonly name: string
  readonly criterion: Criterion
}

/** Verdict words and whether the judge could be asked for them. */
export interface CheckedWords {
  readonly right: VerdictWord
  readonly wrong: VerdictWord
  readonly isUsable: boolean
}

/** Checks the verdict words in their spellings: as they are, in lower and in upper case, after a space. */
export function checkVerdictWords(codec: Pick<PromptCodec, 'encode' | 'decode'>): CheckedWords[] {
  return VERDICT_WORDS.map(([right, wrong]) => {
    const check = (word: string): VerdictWord => {
      const cased = [word, word.toLowerCase(), word.toUpperCase()]
      const spellings = [...cased, ...cased.map((each) => ` ${each}`)].filter((spelling) => {
        const tokens = codec.encode(spelling)
        return tokens.length === 1 && codec.decode(tokens).trim() === spelling.trim()
      })
      return { word, tokens: codec.encode(word).length, spellings }
    }
    const [first, second] = [check(right), check(wrong)]
    const tokensOf = ({ spellings }: VerdictWord) => spellings.map((spelling) => codec.encode(spelling)[0])
    const shared = new Set(tokensOf(first)).intersection(new Set(tokensOf(second)))
    const isUsable =
      [first, second].every(({ word, spellings }) => spellings.includes(word)) && shared.size === 0
    return { right: first, wrong: second, isUsable }
  })
}

/** Questions to the judge; {right} and {wrong} are its words. */
const JUDGE_PROMPTS = [
  ['', 'Is the final answer of this solution correct? Answer with one word, {right} or {wrong}.'],
  [
    'checking',
    'Check every step and every calculation of this solution. Is its final answer correct? Answer with one word, {right} or {wrong}.',
  ],
] as const

/**
 * Returns the judge of the profile, then ours, each as one criterion. A profile whose judge does not ask in a turn of
 * its own, has several criteria or writes its verdicts keeps its judge alone.
 */
export function judgeTemplates(
  { judge }: ModelProfile,
  codec: Pick<PromptCodec, 'encode' | 'decode'>,
  words: readonly CheckedWords[],
): JudgeTemplate[] {
  const own = judge.criteria.find(({ name }) => name === 'correctness')!
  const kept = [{ name: "the profile's own", criterion: own }]
  if (judge.mode !== 'turn' || judge.verdict !== 'logit' || judge.criteria.length > 1) return kept
  const ours = JUDGE_PROMPTS.flatMap(([manner, text]) =>
    words
      .filter(({ isUsable }) => isUsable)
      .map(({ right, wrong }) => ({
        name: `${right.word}/${wrong.word}${manner === '' ? '' : `, ${manner}`}`,
        criterion: {
          name: 'correctness',
          prompt: text.replace('{right}', right.word).replace('{wrong}', wrong.word),
          true: [...right.spellings],
          false: [...wrong.spellings],
          weight: 1,
        },
      })),
  )
  return [...kept, ...ours.filter(({ criterion }) => canWrite(codec, criterion.prompt))]
}

function canWrite(codec: Pick<PromptCodec, 'encode' | 'decode'>, text: string): boolean {
  return codec.decode(codec.encode(text)).trim() === text.trim()
}
