/** @file P(correct) of judged answers by the fused judge, beside their rewards. */

import { type Answer, agreementOf, type Evaluation, underProfile } from '#algorithms'
import type { CandidateKind } from '#episodes'
import type { FusedJudge } from '#ports'
import { meanSignals } from '../signals.ts'
import type { JudgedCandidate } from '../solve-state.ts'

/** What is known beside the judgements. */
export interface KnownBeside {
  readonly kind: CandidateKind
  /** Answers that were judged before, of the same request. */
  readonly earlier: readonly JudgedCandidate[]
  /** P(correct) of each judged answer by the latent reward model, null without an estimate; null for all without a model. */
  readonly confidences: readonly (number | null)[] | null
}

/** Returns the judged answers with both estimates of P(correct). Samples agree with each other and with earlier samples. */
export async function fuseJudgements(
  fusedJudge: FusedJudge,
  judged: readonly Evaluation[],
  { kind, earlier, confidences }: KnownBeside,
): Promise<readonly Evaluation[]> {
  const samples = [
    ...earlier.filter((one) => one.kind === 'sample').map(({ evaluation }) => evaluation),
    ...judged,
  ].map(({ answer }) => answer.answer)
  const agreementWith = ({ answer }: Answer) =>
    kind === 'sample'
      ? agreementOf(answer, {
          samples: samples.length,
          alike: samples.filter((other) => other === answer).length,
        })
      : null
  const scores = await fusedJudge.score(
    judged.map(({ answer, judgement }, index) => ({
      reward: underProfile(judgement).reward,
      terms: judgement.terms,
      ...meanSignals(answer.signals),
      confidence: confidences?.[index] ?? null,
      agreement: agreementWith(answer),
      tokens: answer.tokens.length,
    })),
  )
  return judged.map((evaluation, index) => ({
    ...evaluation,
    judgement: { ...evaluation.judgement, fused: scores[index]!, lrm: confidences?.[index] ?? null },
  }))
}
