/** @file Examples of the fused judge: the labelled answers of episodes, with all that was known of them when they were judged. */

import { agreementOf, type JudgeExample, type OpenRewardModel, unpackThought } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { StoredAnswer, TrainingStore } from '#episodes'
import type { HeldOutAnswer } from './artifact-training.ts'
import { LABEL_WEIGHT } from './reward-model-examples.ts'
import { nameOf, type SplitLookup } from './split-night.ts'

/** Place of an episode in the split: `unused` ones are not read. */
type PlaceOf = SplitLookup['placeOf']

export interface JudgeAnswer extends JudgeExample {
  readonly place: HeldOutAnswer
  /** Reward and P(correct) by the weighting of the model profile, as they were when it was judged. */
  readonly byHand: { readonly reward: number; readonly probability: number }
}

interface ReadOptions {
  readonly training: Pick<TrainingStore, 'labelledAnswers'>
  readonly fingerprint: string
  readonly placeOf: PlaceOf
  /** Active latent reward model, whose estimate is a feature; null for none. */
  readonly rewardModel: Pick<OpenRewardModel, 'score'> | null
  readonly signal: AbortSignal
}

/** Thoughts that are unpacked and scored at once; unpacking more would stop the event loop. */
const BATCH = 16

/** Reads the labelled answers of episodes, in their order. */
export async function readJudgeAnswers(
  { training, fingerprint, placeOf, rewardModel, signal }: ReadOptions,
  episodes: readonly EpisodeKey[],
): Promise<readonly JudgeAnswer[]> {
  const answers: JudgeAnswer[] = []
  let batch: StoredAnswer[] = []
  const flush = async () => {
    const confidences = await confidencesOf(rewardModel, batch)
    for (const [index, stored] of batch.entries()) {
      const { part, cluster } = placeOf(stored, stored.question)
      if (part === 'unused') continue
      answers.push(toAnswer(stored, confidences[index] ?? null, { part, cluster }))
    }
    batch = []
  }
  for await (const stored of training.labelledAnswers(fingerprint, episodes, rewardModel !== null)) {
    signal.throwIfAborted()
    batch.push(stored)
    if (batch.length === BATCH) await flush()
  }
  await flush()
  return answers
}

async function confidencesOf(
  rewardModel: ReadOptions['rewardModel'],
  batch: readonly StoredAnswer[],
): Promise<readonly (number | null)[]> {
  const thoughts = batch.flatMap(({ thought }) => (thought === null ? [] : [unpackThought(thought)]))
  if (rewardModel === null || thoughts.length === 0) return []
  const scores = [...(await rewardModel.score(thoughts))]
  return batch.map(({ thought }) => (thought === null ? null : (scores.shift() ?? null)))
}

/**
 * An answer that the majority has labelled gets no agreement: its label was made of it, so that the judge would learn, and the
 * gate measure, that the majority is right.
 */
function toAnswer(
  stored: StoredAnswer,
  confidence: number | null,
  { part, cluster }: Pick<JudgeExample, 'part'> & { readonly cluster: string },
): JudgeAnswer {
  const { tenantId, episodeId, position, question, answer, labelSource, rewardTerms, reward } = stored
  const agreement = agreementOf({ isSample: stored.kind === 'sample', answer }, stored)
  const verifier = rewardTerms['verifier'] ?? null
  return {
    answer: {
      question,
      cluster,
      tenantId,
      episodeId,
      answer,
      verifier,
      correct: stored.label,
      byMajority: labelSource === 'majority',
    },
    known: {
      terms: rewardTerms,
      logProbability: stored.logProbability,
      selfCertainty: stored.selfCertainty,
      confidence,
      agreement: labelSource === 'majority' ? null : agreement,
      tokens: stored.tokens,
    },
    part,
    weight: LABEL_WEIGHT[labelSource] * stored.labelWeight,
    source: labelSource,
    place: { tenantId, episodeId, position, cluster },
    byHand: { reward, probability: 1 + (rewardTerms['verifier.correctness'] ?? verifier ?? reward) },
  }
}

/** Episodes of held-out or locked answers, each once. */
export function episodesOf(places: readonly HeldOutAnswer[]): readonly EpisodeKey[] {
  return [
    ...new Map(
      places.map(({ tenantId, episodeId }) => [nameOf({ tenantId, episodeId }), { tenantId, episodeId }]),
    ).values(),
  ]
}
