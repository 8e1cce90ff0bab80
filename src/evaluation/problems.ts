/** @file Problems of an evaluation, read from JSON lines. */

import { ServiceError } from '#errors'
import { solveFaults } from '#http'
import { createAnswerFormat } from '#solving'

export interface Problem {
  /** `id` of the line, else its number. */
  readonly id: string
  /** Number of the line, from 1; the seeds of a problem depend on it, so that `--limit` and `--family` do not change them. */
  readonly line: number
  readonly question: string
  /** The reference, as the file gives it but for its worked solution and its box. It never reaches a solver. */
  readonly reference: string
  /** null: the line names none. */
  readonly family: string | null
}

/** Names of the question, in the order in which they are looked for. */
const QUESTION_FIELDS = ['question', 'problem', 'prompt'] as const

/** Precedes the answer behind a worked solution, as in GSM8K. */
const ANSWER_MARK = '####'

const boxes = createAnswerFormat({ kind: 'boxed', normalise: [] })

/**
 * Reads problems. Blank lines are skipped.
 *
 * @param file name for errors
 * @throws ServiceError REQUEST_INVALID naming the first line that is no problem, or a file without problems
 */
export function readProblems(text: string, file: string): Problem[] {
  const problems: Problem[] = []
  const lineOf = new Map<string, number>()
  for (const [index, content] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (content.trim() === '') continue
    const line = index + 1
    const problem = readProblem(content, line, file)
    const before = lineOf.get(problem.id)
    if (before !== undefined) {
      throw invalid(file, line, `an id of its own, got ${JSON.stringify(problem.id)} of line ${before}`)
    }
    lineOf.set(problem.id, line)
    problems.push(problem)
  }
  if (problems.length === 0) throw new ServiceError('REQUEST_INVALID', `${file}: expected problems, got none`)
  return problems
}

function readProblem(content: string, line: number, file: string): Problem {
  const fields = parse(content)
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw invalid(file, line, 'a JSON object')
  }
  const values: Record<string, unknown> = { ...fields }
  const name = QUESTION_FIELDS.find((field) => values[field] !== undefined)
  const question = name && values[name]
  if (typeof question !== 'string') {
    throw invalid(file, line, `a text in one of ${QUESTION_FIELDS.join(', ')}`)
  }
  const [fault] = solveFaults({ question })
  if (fault !== undefined) throw invalid(file, line, `${fault.detail.replace('expected ', '')} in ${name}`)
  const { answer, family = null, id = line } = values
  if (typeof answer !== 'string' && typeof answer !== 'number') {
    throw invalid(file, line, 'a text or a number in answer')
  }
  const reference = referenceOf(String(answer))
  if (reference === '') throw invalid(file, line, 'an answer, got an empty one')
  if (family !== null && typeof family !== 'string') throw invalid(file, line, 'a text in family')
  if (typeof id !== 'string' && typeof id !== 'number') throw invalid(file, line, 'a text or a number in id')
  return { id: String(id), line, question, reference, family }
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return null
  }
}

/** Text behind the last `####`, else content of the last box, else the whole text. */
function referenceOf(answer: string): string {
  const mark = answer.lastIndexOf(ANSWER_MARK)
  const text = mark === -1 ? answer : answer.slice(mark + ANSWER_MARK.length)
  return (boxes.extract(text) ?? text).trim()
}

/** Error of one line of a file of problems; `expected` completes "expected ...". */
export function invalid(file: string, line: number, expected: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `${file}:${line}: expected ${expected}`)
}
