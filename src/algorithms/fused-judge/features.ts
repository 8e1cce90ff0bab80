/** @file Features of an answer that the fused judge weighs: what is known of it when it has been judged. */

import type { JudgedAnswer } from '#ports'

/** Values by name; null for a feature that is not known, `withheld` for one that is known and must not be read. */
export type Features = Readonly<Record<string, number | 'withheld' | null>>

/** Name of the reward under the profile's weights, which are set by hand. */
export const BY_HAND = 'reward'

/** Bound on probabilities before they become logits: a verdict of exactly 0 or 1 is not infinitely sure. */
const EDGE = 1e-4

/**
 * Returns the features: the reward, the logit of every criterion of the verifier (of the whole verifier where it has no
 * criteria) and of the latent reward model, the signals of the tokens, agreement, format, and log(1 + length).
 */
export function judgeFeatures(answer: JudgedAnswer): Features {
  const { terms, confidence, tokens } = answer
  const criteria = Object.keys(terms).filter((name) => name.startsWith('verifier.'))
  const verdicts = criteria.length > 0 ? criteria : ['verifier']
  return {
    [BY_HAND]: answer.reward,
    ...Object.fromEntries(verdicts.map((name) => [name, logitOf(probabilityOf(terms[name]))])),
    lrm: confidence === 'withheld' ? confidence : logitOf(confidence),
    logProbability: answer.logProbability,
    selfCertainty: answer.selfCertainty,
    agreement: answer.agreement,
    format: terms['format'] ?? null,
    length: Math.log1p(tokens),
  }
}

/**
 * Returns the share of the other answers of a request, its greedy draft and its samples, that are the same as one of them; 0 for
 * no answer. Null when there is no other one.
 *
 * @param counts number of these answers, and of those that are the same; the answer itself counts in both
 */
export function agreementOf(
  answer: string | null,
  { answers, alike }: { readonly answers: number; readonly alike: number },
): number | null {
  if (answers <= 1) return null
  return answer === null ? 0 : (alike - 1) / (answers - 1)
}

function probabilityOf(term: number | undefined): number | null {
  return term === undefined ? null : 1 + term
}

function logitOf(probability: number | null): number | null {
  if (probability === null) return null
  const p = Math.min(1 - EDGE, Math.max(EDGE, probability))
  return Math.log(p / (1 - p))
}
