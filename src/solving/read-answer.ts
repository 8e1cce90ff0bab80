/** @file From decoded tokens to an answer. */

import type { Answer, Continuation } from '#algorithms'
import type { Run } from './run.ts'

type Decoded = Pick<Continuation, 'tokens' | 'finish' | 'sequence'>

/** @param tail answer tokens that `sequence` lacks. */
export function readAnswer(run: Run, decoded: Decoded, tail: readonly number[] = []): Answer {
  const { tokens, finish, sequence } = decoded
  const text = run.engine.codec.decode(tokens)
  return { tokens, finish, sequence, tail, text, answer: run.answerFormat.extract(text) }
}
