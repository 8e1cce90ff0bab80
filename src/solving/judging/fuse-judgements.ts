/** @file P(correct) of judged answers by the fused judge, beside their rewards. */

import { type Answer, agreementOf, type Evaluation, underProfile } from '#algorithms'
import type { FusedJudge } from '#ports'
import { meanSignals } from '../signals.ts'

/** What is known beside the judgements. */
export interface KnownBeside {
  /** Draft and samples of the request, the judged answers among them; null: they are no such answers, or have no others yet. */
  readonly peers: readonly Evaluation[] | null
  /** P(correct) of each judged answer by the latent reward model, null without an estimate; null for all without a model. */
  readonly confidences: readonly (number | null)[] | null
}

/** Returns the judged answers with both estimates of P(correct). */
export async function fuseJudgements(
  fusedJudge: FusedJudge,
  judged: readonly Evaluation[],
  { peers, confidences }: KnownBeside,
): Promise<readonly Evaluation[]> {
  const agreementWith = ({ answer }: Answer) =>
    peers === null
      ? null
      : agreementOf(answer, {
          answers: peers.length,
          alike: peers.filter((peer) => peer.answer.answer === answer).length,
        })
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
