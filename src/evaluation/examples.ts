/**
 * @file Arms with solved problems as examples in their question: what a user of any model can do instead of a memory of
 * latents. An arm's examples are its own earlier answers, as far as the model itself was content with them; neither
 * references nor grades choose them.
 */

import type { Solution } from '#solving'
import type { Ask } from './ask.ts'
import type { Problem } from './problems.ts'
import type { AnswerRecord } from './records.ts'

interface Example {
  readonly question: string
  readonly solution: string
  readonly words: ReadonlySet<string>
}

/** Lower bound on the reward of an example, as of the episodes of a profile without a bound of its own. */
const MIN_REWARD = -0.5
/** Upper bound, in characters, on a question with its examples: a little less than that of `POST /solve`. */
const MAX_CHARACTERS = 16_000

/**
 * Puts the examples of arms that have some in front of their questions. Arms learn while they are asked, each in every
 * repetition for itself, so the order of the questions matters.
 *
 * @param problems problems of `records`
 * @param records answers of earlier calls
 */
export function askWithExamples(
  ask: Ask,
  problems: readonly Problem[],
  records: readonly AnswerRecord[],
): Ask {
  const memories = new Map<string, Example[]>()
  const memoryOf = (arm: string, run: number) => {
    const key = JSON.stringify([arm, run])
    const own = memories.get(key) ?? []
    memories.set(key, own)
    return own
  }
  const questions = new Map(problems.map(({ id, question }) => [id, question]))
  for (const { arm, run, problem, ...record } of records.toSorted((one, other) => one.at - other.at)) {
    const question = questions.get(problem)
    if (question !== undefined) learn(memoryOf(arm, run), question, record)
  }
  return async (asked, signal) => {
    const { question, arm, run } = asked
    const { examples = 0 } = arm
    if (examples === 0) return ask(asked, signal)
    const memory = memoryOf(arm.name, run)
    const solution = await ask(
      { ...asked, question: withExamples(question, nearest(memory, question, examples)) },
      signal,
    )
    learn(memory, question, solution)
    return solution
  }
}

type Answered = Partial<Pick<Solution, 'answer' | 'reasoning' | 'reward' | 'stopped'>>

function learn(
  memory: Example[],
  question: string,
  { answer = null, reasoning = '', reward = -1, stopped }: Answered,
) {
  const isCut = stopped === undefined || stopped === 'maxMs' || stopped === 'maxNewTokens'
  if (answer === null || isCut || reward < MIN_REWARD) return
  memory.push({ question, solution: reasoning.trim() || answer, words: wordsOf(question) })
}

/** Words of a question in lower case; numbers are what its like differ in. */
function wordsOf(question: string): ReadonlySet<string> {
  return new Set(question.toLowerCase().match(/\p{L}+/gu))
}

/** Returns the examples whose words are most like those of a question (Jaccard), the nearest last; of equals, the latest. */
function nearest(memory: readonly Example[], question: string, count: number): Example[] {
  const words = wordsOf(question)
  const likeness = ({ words: others }: Example) =>
    words.intersection(others).size / Math.max(1, words.union(others).size)
  return memory
    .map((example) => ({ example, likeness: likeness(example) }))
    .toSorted((one, other) => one.likeness - other.likeness)
    .slice(-count)
    .map(({ example }) => example)
}

/** Writes a question behind its examples; the farthest are left out where they are too long. */
function withExamples(question: string, examples: readonly Example[]): string {
  if (examples.length === 0) return question
  const solved = examples.map((each) => `Problem: ${each.question}\nSolution: ${each.solution}`)
  const text = [
    'Here are solved problems.',
    ...solved,
    `Now solve this problem.\n\nProblem: ${question}`,
  ].join('\n\n')
  return text.length <= MAX_CHARACTERS ? text : withExamples(question, examples.slice(1))
}
