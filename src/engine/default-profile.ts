/** @file The profile of a model that no profile was measured on, made from its tokenizer and chat template. */

import { type JsonObject, modelInvalid } from './model-files.ts'
import type { Sampling } from './profile.ts'
import type { PromptCodec } from './types.ts'

/**
 * Temperature of samples where the model recommends none. At 1, samples of a small model are far worse than its greedy answer, and
 * so is a vote among them (docs/benchmarks.md, "Real models").
 */
const TEMPERATURE = 0.7

/** Words for a right and a wrong answer, most usual first. */
const VERDICT_WORDS = [
  ['Yes', 'No'],
  ['True', 'False'],
  ['yes', 'no'],
  ['true', 'false'],
] as const

/** Place of an answer, without the answer. */
const BOX = '\\boxed{}'

/** Three quarters of the default `maxNewTokens`. */
const MAX_THOUGHT_TOKENS = 768

/** Place and comparison of answers where no profile describes them. */
export const DEFAULT_ANSWER = { kind: 'boxed', compare: 'maths' } as const

/**
 * Returns the template variables of a model without a profile. Thinking is switched off where the template can:
 * a judge that thinks gives no verdict in its first token, and the default of 1,024 tokens cuts long thoughts.
 */
export function defaultVariables(chatTemplate: string): Record<string, unknown> {
  return chatTemplate.includes('enable_thinking') ? { enable_thinking: false } : {}
}

/**
 * Returns the text of a `circadian.json` for a model that has none. Nothing in it was measured, so it takes no
 * decision that a wrong judge could spoil:
 * - `stopReward` 0 is never passed: the verdicts of a judge that was not calibrated are near one value for right
 *   and for wrong answers, so a search that they stopped would return the first draft. A search runs to its
 *   budget, and the answer with the best reward is returned.
 * - `minSimilarity` .98: without a measured mean, the embeddings of unrelated questions have cosines of .9 and
 *   more, and would be neighbours.
 *
 * A model whose template opens a thought in every turn gets a bound on thoughts, so that tokens are left for the
 * answer, and its judge begins after an empty thought, so that its first token is a verdict.
 *
 * @param recommended sampling that the model's authors recommend
 * @throws ServiceError MODEL_INVALID when the tokenizer cannot write the box of an answer, or has no pair of verdict
 * words that are one token each
 */
export function defaultProfile(
  codec: Pick<PromptCodec, 'encode' | 'decode' | 'splitThought' | 'thoughtEnd'>,
  variables: Record<string, unknown>,
  recommended: Sampling,
): JsonObject {
  if (codec.decode(codec.encode(BOX)).trim() !== BOX) {
    throw modelInvalid(
      `circadian.json, or a tokenizer that can write ${BOX}, in which the default profile expects answers`,
      'neither',
      'write a profile (docs/models.md)',
    )
  }
  const tokenOf = (word: string) => {
    const tokens = codec.encode(word)
    return tokens.length === 1 && codec.decode(tokens).trim() === word ? tokens[0] : undefined
  }
  const words = VERDICT_WORDS.find(([right, wrong]) => {
    const [first, second] = [tokenOf(right), tokenOf(wrong)]
    return first !== undefined && second !== undefined && first !== second
  })
  if (words === undefined) {
    throw modelInvalid(
      `circadian.json, or a tokenizer with one token each for ${VERDICT_WORDS.map((pair) => pair.join(' and ')).join(', or ')}`,
      'neither',
      'write a profile (docs/models.md)',
    )
  }
  const [right, wrong] = words
  const alwaysThinks = codec.splitThought('').final === null
  return {
    template: { variables },
    solver: {
      system: '',
      template: '{question}\n\nReason step by step, and put your final answer within \\boxed{}.',
    },
    judge: {
      mode: 'turn',
      ...(alwaysThinks && { prefill: codec.decode(codec.thoughtEnd ?? []) }),
      criteria: [
        {
          name: 'correctness',
          prompt: `Is the final answer of this solution correct? Answer with one word, ${right} or ${wrong}.`,
          true: [right],
          false: [wrong],
          weight: 1,
        },
      ],
    },
    answer: DEFAULT_ANSWER,
    defaults: {
      stopReward: 0,
      minSimilarity: 0.98,
      ...(recommended.temperature === undefined && { sampling: { temperature: TEMPERATURE } }),
      ...(alwaysThinks && { maxThoughtTokens: MAX_THOUGHT_TOKENS }),
    },
  }
}

/** Describes the assumptions of `defaultProfile`, for the log. */
export function describeDefaultProfile(profile: JsonObject): string {
  const { judge, template, defaults } = profile as {
    judge: { criteria: [{ true: string[]; false: string[] }] }
    template: { variables: object }
    defaults: { maxThoughtTokens?: number }
  }
  const [{ true: right, false: wrong }] = judge.criteria
  const { maxThoughtTokens } = defaults
  const switchedOff = Object.keys(template.variables).length === 0 ? '' : ', thinking is switched off'
  const bounded =
    maxThoughtTokens === undefined
      ? ''
      : `, thoughts are closed after ${maxThoughtTokens} tokens, and the judge does not think`
  return (
    'no circadian.json in the model directory: serving on a default profile, in which nothing was measured: ' +
    `answers stand in \\boxed{}, the model judges with ${right[0]} and ${wrong[0]}, no verdict ends a search` +
    `${switchedOff}${bounded}; write circadian.json to change this (docs/models.md)`
  )
}
