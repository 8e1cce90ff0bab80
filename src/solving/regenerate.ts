/** @file Completing answers from prefixes that the latents decode to. */

import type { Answer, Evaluation } from '#algorithms'
import { ServiceError } from '#errors'
import type { Continuation } from '#ports'
import { judgeAnswers } from './judge-answers.ts'
import { readAnswer } from './read-answer.ts'
import { allowance, type Run } from './run.ts'
import { asksForThoughts } from './thoughts.ts'

type Prefix = readonly number[]

/**
 * Continues prefixes greedily on the prompt's cache, all in one batch, and judges the answers. A prefix that ends in EOS is
 * the answer itself; one with no token left to decode is an answer cut short.
 *
 * @throws ServiceError ABORTED when the time is up before all are judged.
 */
export async function regenerate(run: Run, prefixes: readonly Prefix[]): Promise<readonly Evaluation[]> {
  const open = prefixes.filter((prefix) => isOpen(run, prefix, prefixes.length))
  const rows = open.map((prefix) => ({
    prefix,
    temperature: 0,
    seed: run.seed,
    maxNewTokens: allowance(run, prefixes.length, prefix.length),
    latents: 0,
    thought: asksForThoughts(run),
  }))
  const decoded = rows.length === 0 ? [] : await run.session.generate(rows)
  for (const { generatedTokens } of decoded) run.meter.generatedTokens += generatedTokens

  const continuations = new Map(open.map((prefix, index) => [prefix, decoded[index]!]))
  const answers = prefixes.map((prefix) => completed(run, prefix, continuations.get(prefix)))
  const evaluations = await judgeAnswers(run, 'regeneration', answers)
  if (run.signal.aborted)
    throw new ServiceError('ABORTED', 'regenerate: expected a verdict, got none in time')
  return evaluations
}

function isOpen(run: Run, prefix: Prefix, rows: number): boolean {
  return !endsByItself(run, prefix) && allowance(run, rows, prefix.length) > 0
}

function completed(run: Run, prefix: Prefix, continuation: Continuation | undefined): Answer {
  if (continuation !== undefined) return readAnswer(run, continuation)
  const finish = endsByItself(run, prefix) ? 'eos' : 'length'
  // The engine has no sequence for it: a judge continues the prompt with the answer's own tokens.
  return readAnswer(run, { tokens: prefix, finish, sequence: run.session.prompt, thought: null }, prefix)
}

function endsByItself({ engine }: Run, prefix: Prefix): boolean {
  const last = prefix.at(-1)
  return last !== undefined && engine.eosTokenIds.includes(last)
}
