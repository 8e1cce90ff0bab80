/** @file Features of an answer that the fused judge weighs: what is known of it when it has been judged. */

import type { JudgedAnswer } from '#ports'

/** Values by name; null for a feature that is not known. */
export type Features = Readonly<Record<string, number | null>>

/** Bound on probabilities before they become logits: a verdict of exactly 0 or 1 is not infinitely sure. */
const EDGE = 1e-4

/**
 * Returns the features: the logit of every criterion of the verifier (of the whole verifier where it has no criteria) and of
 * the latent reward model, the signals of the tokens, agreement, format, and log(1 + length).
 */
export function judgeFeatures(answer: JudgedAnswer): Features {
  const { terms, confidence, tokens } = answer
  const criteria = Object.keys(terms).filter((name) => name.startsWith('verifier.'))
  const verdicts = criteria.length > 0 ? criteria : ['verifier']
  return {
    ...Object.fromEntries(verdicts.map((name) => [name, logitOf(probabilityOf(terms[name]))])),
    lrm: logitOf(confidence),
    logProbability: answer.logProbability,
    selfCertainty: answer.selfCertainty,
    agreement: answer.agreement,
    format: terms['format'] ?? null,
    length: Math.log1p(tokens),
  }
}

/**
 * Returns the share of the samples of a question, itself apart, that give the same answer; 0 for no answer. Null when there is
 * no other sample.
 */
export function agreementOf(
  { isSample, answer }: { readonly isSample: boolean; readonly answer: string | null },
  /** Number of samples, and of those with the same answer; a sample counts itself in both. */
  { samples, alike }: { readonly samples: number; readonly alike: number },
): number | null {
  const own = isSample ? 1 : 0
  if (samples - own <= 0) return null
  return answer === null ? 0 : (alike - own) / (samples - own)
}

function probabilityOf(term: number | undefined): number | null {
  return term === undefined ? null : 1 + term
}

function logitOf(probability: number | null): number | null {
  if (probability === null) return null
  const p = Math.min(1 - EDGE, Math.max(EDGE, probability))
  return Math.log(p / (1 - p))
}
