/** @file Examples of the fused judge: the labelled answers of episodes, with all that was known of them when they were judged. */

import {
  agreementOf,
  type FormName,
  type JudgeExample,
  type OpenRewardModel,
  unpackThought,
} from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { Engine } from '#engine'
import type { StoredAnswer, TrainingStore } from '#episodes'
import type { JudgedAnswer } from '#ports'
import type { HeldOutAnswer } from './artifact-training.ts'
import { answersWithin, feedAnswers, MAX_FED_TOKENS } from './feed-answers.ts'
import { LABEL_WEIGHT } from './reward-model-examples.ts'
import { nameOf, type SplitLookup } from './split-night.ts'

/** Place of an episode in the split: `unused` ones are not read. */
type PlaceOf = SplitLookup['placeOf']

export interface JudgeAnswer extends JudgeExample {
  readonly place: HeldOutAnswer
  /** Fingerprint of the judge that rewarded it. */
  readonly judgeFingerprint: string
  /** Reward and P(correct) by the weighting of the model profile, as they were when it was judged. */
  readonly byHand: { readonly reward: number; readonly probability: number }
}

interface ReadOptions {
  readonly training: Pick<TrainingStore, 'labelledAnswers'>
  readonly fingerprint: string
  readonly placeOf: PlaceOf
  /** P(correct) of answers by the active latent reward model, a feature; null without one. */
  readonly confidencesOf: ConfidencesOf | null
  readonly signal: AbortSignal
}

type Confidence = JudgedAnswer['confidence']

/** Returns P(correct) of each answer, in order; null where it cannot be computed from what is stored. */
export type ConfidencesOf = (answers: readonly StoredAnswer[]) => Promise<readonly Confidence[]>

/** Withholds the estimates of the answers for which `isKnown` is true, and does not compute them. */
export function withholding(
  confidencesOf: ConfidencesOf,
  isKnown: (answer: StoredAnswer) => boolean,
): ConfidencesOf {
  return async (answers) => {
    const estimates = (await confidencesOf(answers.filter((one) => !isKnown(one)))).values()
    return answers.map((one) => (isKnown(one) ? 'withheld' : (estimates.next().value ?? null)))
  }
}

/** Thoughts that are unpacked and scored at once; unpacking more would stop the event loop. */
const BATCH = 16

/** Reads the labelled answers of episodes, in their order, and hands each to `take` before it reads on. */
export async function readJudgeAnswers(
  { training, fingerprint, placeOf, confidencesOf, signal }: ReadOptions,
  episodes: readonly EpisodeKey[],
  take: (answer: JudgeAnswer) => Promise<void>,
): Promise<void> {
  let batch: StoredAnswer[] = []
  const flush = async () => {
    const full = batch
    batch = []
    const confidences = (await confidencesOf?.(full)) ?? []
    for (const [index, stored] of full.entries()) {
      const { part, cluster } = placeOf(stored, stored.question)
      if (part === 'unused') continue
      await take(toAnswer(stored, confidences[index] ?? null, { part, cluster }))
    }
  }
  for await (const stored of training.labelledAnswers(fingerprint, episodes, confidencesOf !== null)) {
    signal.throwIfAborted()
    batch.push(stored)
    if (batch.length === BATCH) await flush()
  }
  await flush()
}

interface ScoreOptions {
  /** What the model reads of an answer. */
  readonly form: FormName
  /** Engine of the model that gave the answers; null: none is at hand. */
  readonly engine: Engine | null
  readonly signal: AbortSignal
}

/**
 * Scores stored thoughts with a loaded reward model. A form that reads every token has nothing stored: its answers are
 * fed through the model again, up to a bound of tokens; without an engine of the model, they have no estimate.
 */
export function scoreStored(
  rewardModel: Pick<OpenRewardModel, 'score' | 'tokenMaps'>,
  { form, engine, signal }: ScoreOptions,
): ConfidencesOf {
  const { tokenMaps } = rewardModel
  if (tokenMaps === undefined) return (answers) => scoreThoughts(rewardModel, answers, form)
  let left = MAX_FED_TOKENS
  return async (answers) => {
    const scores: (number | null)[] = answers.map(() => null)
    const feedable = answers.flatMap(({ question, tokens, last }, index) =>
      last === null ? [] : [{ index, question, tokens, last }],
    )
    const fed = answersWithin(feedable, left)
    left -= fed.reduce((sum, { tokens }) => sum + tokens.length, 0)
    if (engine === null || fed.length === 0) return scores
    await feedAnswers(engine, fed, { tokenMaps, signal }, async ({ index }, thought) => {
      if (thought.gated !== undefined) scores[index] = (await rewardModel.score([thought]))[0] ?? null
    })
    return scores
  }
}

async function scoreThoughts(
  rewardModel: Pick<OpenRewardModel, 'score'>,
  answers: readonly StoredAnswer[],
  form: FormName,
): Promise<readonly (number | null)[]> {
  // Rows of earlier releases have no last states.
  const usable = answers.flatMap(({ thought, last }, index) =>
    thought === null || (form === 'last' && last === null)
      ? []
      : [{ index, thought: unpackThought(thought, last) }],
  )
  const scores = usable.length === 0 ? [] : await rewardModel.score(usable.map(({ thought }) => thought))
  const byIndex = new Map(usable.map(({ index }, place) => [index, scores[place] ?? null]))
  return answers.map((_, index) => byIndex.get(index) ?? null)
}

/**
 * Only samples have an agreement, with each other and with the draft: the draft is judged before there are samples. That of a sample which the
 * majority has labelled is withheld: its label was made of it, so that the judge would learn, and the gate measure, that the
 * majority is right.
 */
function toAnswer(
  stored: StoredAnswer,
  confidence: Confidence,
  { part, cluster }: Pick<JudgeExample, 'part'> & { readonly cluster: string },
): JudgeAnswer {
  const { tenantId, episodeId, position, question, answer, labelSource, rewardTerms, reward } = stored
  const agreement = stored.kind === 'sample' ? agreementOf(answer, stored) : null
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
      reward,
      terms: rewardTerms,
      logProbability: stored.logProbability,
      selfCertainty: stored.selfCertainty,
      confidence,
      agreement: labelSource === 'majority' && agreement !== null ? 'withheld' : agreement,
      tokens: stored.tokens.length,
    },
    part,
    weight: LABEL_WEIGHT[labelSource] * stored.labelWeight,
    source: labelSource,
    kind: stored.kind,
    strategy: stored.strategy,
    place: { tenantId, episodeId, position, cluster },
    judgeFingerprint: stored.judgeFingerprint,
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
