/** @file From decoded tokens to an answer. */

import type { Answer } from '#algorithms'
import type { Continuation } from '#ports'
import type { Run } from './run.ts'
import { soundThought } from './thoughts.ts'

type Decoded = Pick<Continuation, 'tokens' | 'finish' | 'sequence' | 'thought'>

/** @param tail answer tokens that `sequence` lacks. */
export function readAnswer(run: Run, decoded: Decoded, tail: readonly number[] = []): Answer {
  const { tokens, finish, sequence } = decoded
  const text = run.engine.codec.decode(tokens)
  const answer = run.answerFormat.extract(text)
  return { tokens, finish, sequence, tail, text, answer, thought: soundThought(decoded.thought) }
}
