/**
 * @file The interface of the training store: the episodes of one model, across its tenants, as training
 * material.
 */

import type { PackedRows } from '#ports'
import type { CandidateKind, LabelSource, NewEpisode } from './episode.ts'

export interface TrainingKey {
  readonly tenantId: string
  readonly episodeId: string
}

/**
 * Material of a training: labelled thoughts for the latent reward model, latents for the weaver, labelled answers for
 * the fused judge, which needs no thoughts; `asked` takes every indexed episode of a request.
 */
export type TrainingMaterial = 'thoughts' | 'latents' | 'answers' | 'asked'

export interface SnapshotRequest {
  readonly fingerprint: string
  readonly material: TrainingMaterial
  /** Largest number of episodes; unlimited unless given. */
  readonly limit?: number
  /**
   * Largest share of the snapshot that one tenant may fill, in (0, 1]; 1 is no bound. When there are too few
   * tenants for it, they get equal parts.
   */
  readonly maxTenantShare: number
  /** Number of episodes that a tenant may contribute whatever its share; 200 unless given. */
  readonly minPerTenant?: number
}

/** Counts in which every episode of the model appears once: `episodes` is the sum of the others. */
export interface SnapshotCounts {
  readonly episodes: number
  /** Episodes not indexed yet, so without labels. */
  readonly pending: number
  /**
   * Episodes without the material. Thoughts: no candidate has both label and thought. Latents: not
   * retrievable.
   */
  readonly unusable: number
  /** Oldest episodes of tenants that exceed their share. */
  readonly overShare: number
  /** Oldest episodes beyond `limit`, of the tenants with the most episodes. */
  readonly overLimit: number
  /** Episodes in the snapshot. */
  readonly kept: number
}

export interface TrainingSnapshot {
  /** Newest first. */
  readonly episodes: readonly TrainingKey[]
  readonly counts: SnapshotCounts
  /**
   * Creation time of the model's newest episode, usable or not, for `countSince`; null when there is none.
   */
  readonly newestAt: Date | null
}

/** The question of one episode. */
export interface StoredQuestion extends TrainingKey {
  readonly question: string
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  /** Whether the episode is retrievable. */
  readonly steers: boolean
}

/** The latent thought of one candidate, and whether its answer is right. */
export interface StoredThought extends TrainingKey {
  /** Position of the candidate in its episode. */
  readonly position: number
  readonly question: string
  /** Final answer, normalised; null when there is none. */
  readonly answer: string | null
  /** Verifier's reward of the answer, in [-1, 0]; null when it was not asked. */
  readonly verifier: number | null
  readonly thought: PackedRows
  /** States of the scored layers at the last token, `[K, D]`; null in rows of earlier releases. */
  readonly last: PackedRows | null
  /** Tokens of the answer. */
  readonly tokens: readonly number[]
  readonly label: boolean
  readonly labelSource: LabelSource
  /** Share of the samples that agree, for a majority; 1 for other sources. */
  readonly labelWeight: number
  /**
   * Number of thoughts of the same label and episode that this one stands for: above 1 once the others were
   * deleted.
   */
  readonly standsFor: number
}

/** One labelled candidate, with all that was known of it when it was judged. */
export interface StoredAnswer extends TrainingKey {
  /** Position of the candidate in its episode. */
  readonly position: number
  /** Strategy of its episode. */
  readonly strategy: string
  readonly question: string
  readonly kind: CandidateKind
  /** Final answer, normalised; null when there is none. */
  readonly answer: string | null
  readonly tokens: readonly number[]
  /** Fingerprint of the judge that rewarded it; rewards and terms of different judges do not compare. */
  readonly judgeFingerprint: string
  /** Reward under the weights of the model profile, and its terms; each in [-1, 0]. */
  readonly reward: number
  readonly rewardTerms: Readonly<Record<string, number>>
  /** Means over its decoded tokens, in nats; null when they are not known. */
  readonly logProbability: number | null
  readonly selfCertainty: number | null
  /** Number of the drafts and samples of its episode, and of those with the same answer. */
  readonly answers: number
  readonly alike: number
  /** Null when it has none, or none was asked for. */
  readonly thought: PackedRows | null
  /** States of the scored layers at the last token, `[K, D]`; null likewise, and in rows of earlier releases. */
  readonly last: PackedRows | null
  readonly label: boolean
  readonly labelSource: LabelSource
  /** Share of the samples that agree, for a majority; 1 for other sources. */
  readonly labelWeight: number
}

/** The latents of one retrievable episode, before and after its search. */
export interface StoredLatents extends TrainingKey {
  readonly question: string
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly zBase: PackedRows
  readonly zStar: PackedRows
  /** Label of the returned candidate. */
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

/** A question of a request that no caller has given a right answer or feedback for. */
export interface UncertainQuestion {
  readonly tenantId: string
  readonly question: string
}

/** A question of a request, with an episode of it. */
export interface AnsweredQuestion extends UncertainQuestion, TrainingKey {}

/** Answers of one version. */
export interface OutcomeRequest {
  readonly fingerprint: string
  readonly kind: 'weaver' | 'lrm' | 'judge'
  /** Version that could influence the answers, or `NO_VERSION`. */
  readonly version: string
  /** First creation time of the episodes; no bound unless given. */
  readonly from?: Date
  /** Creation time before which the episodes must lie; no bound unless given. */
  readonly until?: Date
}

/** Number of answers of one tenant and strategy that a caller has called right or wrong. */
export interface ServedOutcomes {
  readonly tenantId: string
  readonly strategy: string
  readonly n: number
  /** Number of the right ones. */
  readonly right: number
}

/** Answers to requests of one day, strategy and set of versions. */
export interface LearningDay {
  /** Day in UTC, `YYYY-MM-DD`. */
  readonly day: string
  readonly strategy: string
  /** Versions that could influence the answers, or `NO_VERSION`; null as in an episode. */
  readonly weaverVersion: string | null
  readonly lrmVersion: string | null
  readonly judgeVersion: string | null
  readonly episodes: number
  /** Number of answers that feedback or a reference call right or wrong, and of those called right. */
  readonly labelled: number
  readonly right: number
  /** Number of answers that passed before the first step of a search. */
  readonly firstPass: number
  /** Sum of the steps of all searches, and of the generated tokens. */
  readonly steps: number
  readonly tokens: number
}

/** A question on which a candidate artifact is evaluated. */
export interface HeldOutQuestion {
  readonly tenantId: string
  readonly question: string
  /**
   * The right answer by feedback on any of the question's episodes, else a reference answer, else the majority
   * of at least half of one episode's samples; null when none exists. Only answers under the wanted rules count.
   */
  readonly reference: string | null
  /** Source of `reference`; null without one. */
  readonly referenceSource: Exclude<LabelSource, 'self'> | null
  /** All episodes of this tenant and model with this question; retrieving one would give away the answer. */
  readonly episodeIds: readonly string[]
}

/**
 * The only store that reads across tenants, because a model's artifacts are trained on all of them. No
 * request reads it.
 *
 * @throws ServiceError STORE_UNAVAILABLE from every method
 */
export interface TrainingStore {
  /** Returns the indexed episodes that have the material, within the limits of the request. */
  snapshot(request: SnapshotRequest): Promise<TrainingSnapshot>
  /** Returns the questions of these episodes; order, pages and skipping as `labelledThoughts`. */
  askedQuestions(fingerprint: string, episodes: readonly TrainingKey[]): AsyncIterable<StoredQuestion>
  /**
   * Returns the labelled candidates of these episodes that have a thought, in the order of `episodes` and
   * then of positions; read in pages of a few megabytes, and not converted. Skips episodes that have
   * been deleted meanwhile or belong to another model.
   */
  labelledThoughts(fingerprint: string, episodes: readonly TrainingKey[]): AsyncIterable<StoredThought>
  /** Returns the labelled candidates of these episodes; order, pages and skipping as `labelledThoughts`. */
  labelledAnswers(
    fingerprint: string,
    episodes: readonly TrainingKey[],
    withThoughts: boolean,
  ): AsyncIterable<StoredAnswer>
  /**
   * Returns the latents of the retrievable ones of these episodes; order, pages and skipping as
   * `labelledThoughts`.
   */
  latentPairs(fingerprint: string, episodes: readonly TrainingKey[]): AsyncIterable<StoredLatents>
  /**
   * Returns up to `limit` questions of these episodes, each once, in their order; skips deleted episodes.
   * @param rules of the model that answers them anew: answers of other rules do not compare with its own
   */
  heldOutQuestions(
    fingerprint: string,
    episodes: readonly TrainingKey[],
    options: { readonly limit: number; readonly rules: Pick<NewEpisode, 'answerRules' | 'judgeFingerprint'> },
  ): Promise<readonly HeldOutQuestion[]>
  /**
   * Returns the questions that requests asked after `since` (null: ever) and that have neither feedback nor a
   * reference: those without an admitted answer first, then those whose answer's P(correct) is nearest 0.5. Each
   * question comes once for its tenant.
   */
  uncertainQuestions(
    fingerprint: string,
    options: { readonly since: Date | null; readonly perTenant: number },
  ): Promise<readonly UncertainQuestion[]>
  /**
   * Returns up to `limit` questions whose right answer a caller has told: by a reference, or by feedback on an answer of `auto`,
   * which does not choose the question by how well samples do. Drawn without regard to the model's answers; each comes once for
   * its tenant, and none to which a night has sampled answers with a reference before `before`.
   *
   * @param options.salt of the draw
   */
  answeredQuestions(
    fingerprint: string,
    options: { readonly salt: string; readonly before: Date; readonly limit: number },
  ): Promise<readonly AnsweredQuestion[]>
  /**
   * Counts the answers to requests that a version could influence and that feedback or a reference calls right
   * or wrong, at most the newest 20,000. Episodes of nights, and labels by majority or self-reward, do not count.
   */
  servedOutcomes(request: OutcomeRequest): Promise<readonly ServedOutcomes[]>
  /** Returns the figures of the last `days` days, today included; a day without episodes is absent. */
  learningDays(request: {
    readonly fingerprint: string
    readonly days: number
  }): Promise<readonly LearningDay[]>
  /** Returns the number of episodes of the model that are not indexed yet. */
  countPending(fingerprint: string): Promise<number>
  /** Returns the fingerprints of all models that have episodes. */
  models(): Promise<readonly string[]>
  /**
   * Excludes near-duplicate episodes of these tenants from retrieval when a better one exists; see
   * sql/exclude-dominated.ts.
   * @returns the number of episodes excluded
   */
  excludeDominated(fingerprint: string, tenants: readonly string[]): Promise<number>
  /**
   * Deletes the thoughts of these episodes beyond four of right and four of wrong answers; see
   * sql/thin-thoughts.ts. The sum of `standsFor` of each episode and label stays.
   * @returns the number of deleted thoughts
   */
  thinThoughts(fingerprint: string, episodes: readonly TrainingKey[]): Promise<number>
  /**
   * Returns the number of episodes of requests of the model, in any state, that are newer than `since`; null counts all.
   */
  countSince(fingerprint: string, since: Date | null): Promise<number>
}
