/** @file Accuracy by the number of recurrences, and adaptive thinking against a fixed number. */

import { bootstrapByQuestion } from '#algorithms'
import type { Engine } from '#engine'
import { concurrently, mean } from '#evaluation'
import type { Thinking } from '#ports'
import { createSolver } from '#solving'
import { writePrompt } from '../../src/solving/prompt.ts'
import type { Problem } from './problems.ts'

/** Number of problems at once, which share runs. */
const CONCURRENCY = 32
const MAX_TOKENS = 8

/** One value per problem: the mean over its seeds. */
export interface Outcomes {
  /** Share of right answers, in [0, 1]. */
  readonly right: readonly number[]
  /** Recurrences per decoded token. */
  readonly recurrences: readonly number[]
}

/** Answers each problem greedily from the noise of each seed. */
export async function think(
  engine: Engine,
  problems: readonly Problem[],
  { thinking, seeds }: { readonly thinking: Thinking; readonly seeds: readonly number[] },
): Promise<Outcomes> {
  const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }
  const { answerKeys } = createSolver({ engine, episodes: null, logger })
  const answered = await concurrently(problems, CONCURRENCY, async ({ question, answer }) => {
    const { tokens } = writePrompt({ question }, engine.codec, engine.model.profile)
    const session = await engine.open(tokens, { signal: new AbortController().signal, thinking })
    const row = { prefix: [], temperature: 0, seed: 0, maxNewTokens: MAX_TOKENS, latents: 0 }
    const rows = await session.generate(seeds.map((noise) => ({ ...row, noise })))
    session.close()
    const key = answerKeys.keyOf(answer)
    const textOf = (each: (typeof rows)[number]) =>
      engine.codec.decode(each.finish === 'eos' ? each.tokens.slice(0, -1) : each.tokens)
    return {
      right: mean(rows.map((each) => Number(answerKeys.keyIn(textOf(each)) === key))),
      recurrences: mean(rows.map(({ recurrences = 0, generatedTokens }) => recurrences / generatedTokens)),
    }
  })
  return {
    right: answered.map(({ right }) => right),
    recurrences: answered.map(({ recurrences }) => recurrences),
  }
}

/** Mean over problems with its 95 % interval by bootstrap over problems. */
export function estimate(values: readonly number[]) {
  return bootstrapByQuestion(
    values.map((_, index) => `${index}`),
    (weights) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      return values.reduce((sum, value, index) => sum + value * weights[index]!, 0) / total
    },
  )
}

/** The same of `a - b`, problem by problem. */
export function difference(a: readonly number[], b: readonly number[]) {
  return estimate(a.map((value, index) => value - b[index]!))
}
