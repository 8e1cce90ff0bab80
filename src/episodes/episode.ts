/**
 * @file An episode: one solved request with all its judged candidates. Also the interface of the episode
 * store.
 */

import type { EpisodeMemory, Latents, LatentThought } from '#ports'
import type { Deletion } from './deletion.ts'

export type LabelSource = 'feedback' | 'reference' | 'majority' | 'self'
/** Stored in place of a version when none was active. */
export const NO_VERSION = 'none'

export type CandidateKind = 'draft' | 'regeneration' | 'sample'

export interface Candidate {
  readonly kind: CandidateKind
  readonly tokens: readonly number[]
  readonly text: string
  readonly answer: string | null
  /** Reward in [-1, 0]. */
  readonly reward: number
  /** Reward by term, e.g. `verifier`, `verifier.correctness`, `format`; each in [-1, 0]. */
  readonly rewardTerms: Readonly<Record<string, number>>
  /** Mean log-probability and self-certainty of its decoded tokens, in nats; null when they are not known. */
  readonly logProbability: number | null
  readonly selfCertainty: number | null
  /** Whether this candidate was returned as the answer. */
  readonly chosen: boolean
  /**
   * Whether reward and P(correct) meet the profile's bar for admission: the label by self-reward, the last
   * source.
   */
  readonly meetsAdmission: boolean
  /**
   * Latent thought, for training; stored in fp16, and not stored when a value exceeds the range of fp16.
   * Read only by the training store, never with the episode.
   */
  readonly thought: LatentThought | null
}

export interface StoredCandidate extends Omit<Candidate, 'meetsAdmission' | 'thought'> {
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

/** Latents of the draft and of the returned answer, stored in fp16. */
export interface LatentPair {
  readonly zBase: Latents
  readonly zStar: Latents
}

export interface NewEpisode {
  readonly id: string
  readonly tenantId: string
  readonly fingerprint: string
  /** Fingerprint of the judge that gave the rewards. */
  readonly judgeFingerprint: string
  /** Rules of the keys of all its answers (`ModelInfo.answerRules`). */
  readonly answerRules: string
  readonly modelId: string
  readonly strategy: string
  readonly question: string
  /** Reference answer of the request, normalised as answers are; null when none was given. */
  readonly reference: string | null
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly answer: string | null
  readonly reasoning: string
  readonly reward: number
  readonly baseReward: number | null
  readonly iterations: number
  readonly evaluations: number
  readonly generatedTokens: number
  readonly stopped: string
  readonly seed: number
  /** Whether reward and correctness met the profile's bar for admission. Required to be retrievable. */
  readonly admitted: boolean
  readonly candidates: readonly Candidate[]
  /**
   * null when the episode must not influence others. An episode steers when it is admitted, has latents and
   * is not refuted, superseded, dominated or withdrawn.
   */
  readonly latents: LatentPair | null
  /**
   * Version of the weaver that could influence the answer, or `NO_VERSION`; null, the default, when the request
   * uses no weaver or the weaver failed.
   */
  readonly weaverVersion?: string | null
  /** The same of the latent reward model. */
  readonly lrmVersion?: string | null
  /** The same of the fused judge. */
  readonly judgeVersion?: string | null
  /** `night`: sampled by a consolidation, not asked by a request; `request` unless given. */
  readonly origin?: 'request' | 'night'
  /** Ids of the episodes whose latents moved the start of the returned answer; none unless given. */
  readonly ancestors?: readonly string[]
  /** Trace that the job of the episode continues (W3C Trace Context); none unless given. */
  readonly traceparent?: string | undefined
  /** Id of the request; not stored with the episode, but in the payload of its job. */
  readonly requestId?: string
}

/** Whether an episode may influence other requests (`steers`), or the first reason why it does not. */
export type Steering =
  | 'steers'
  | 'refuted'
  | 'notAdmitted'
  | 'noLatents'
  | 'superseded'
  | 'withdrawn'
  | 'dominated'

export interface EpisodeSummary {
  readonly id: string
  readonly createdAt: string
  readonly modelId: string
  readonly strategy: string
  readonly question: string
  readonly answer: string | null
  readonly reward: number
  readonly baseReward: number | null
  readonly iterations: number
  readonly admitted: boolean
  readonly steering: Steering
  readonly status: 'pending' | 'indexed'
  /** Label of the returned candidate. */
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

export interface EpisodeDetail extends EpisodeSummary {
  readonly fingerprint: string
  /** Fingerprint of the judge that gave the rewards; empty when it is not known. */
  readonly judgeFingerprint: string
  readonly reasoning: string
  readonly reference: string | null
  readonly evaluations: number
  readonly generatedTokens: number
  readonly stopped: string
  readonly seed: number
  /**
   * Version of the weaver that could influence the answer, or `NO_VERSION`; null when the request used no
   * weaver, and for episodes of earlier releases.
   */
  readonly weaverVersion: string | null
  /** Version of the latent reward model that could influence the answer, as `weaverVersion`. */
  readonly lrmVersion: string | null
  /** Version of the fused judge that could influence the answer, as `weaverVersion`. */
  readonly judgeVersion: string | null
  readonly candidates: readonly StoredCandidate[]
}

/** What listed episodes must be; a field that is absent excludes none. */
export interface EpisodeFilter {
  /** Part of the question, in any case. */
  readonly question?: string
  /** The whole returned answer. */
  readonly answer?: string
  /** What the label says of the returned answer. */
  readonly label?: 'right' | 'wrong' | 'unknown'
  readonly minReward?: number
  readonly maxReward?: number
  /** Whether the episode may influence other requests. */
  readonly steers?: boolean
  readonly strategy?: string
  /** Id of an episode whose latents moved the start of the returned answer. */
  readonly ledBy?: string
}

export interface EpisodePage {
  readonly episodes: readonly EpisodeSummary[]
  /** Opaque; null on the last page. */
  readonly nextCursor: string | null
}

/** A version of an artifact that was trained on an episode. */
export interface TrainedArtifact {
  readonly id: string
  readonly version: string
  readonly active: boolean
}

/** What led an episode, what it led, and what its deletion changes. */
export interface EpisodeInfluence {
  /** Episodes whose latents moved the start of its answer; those that are gone are left out. */
  readonly ledBy: readonly EpisodeSummary[]
  /** Newest of the episodes whose answers its latents moved, at most 100. */
  readonly led: readonly EpisodeSummary[]
  readonly deletion: {
    /** Number of episodes that would no longer influence others, because this one led them, directly or not. */
    readonly withdrawn: number
    /** Number of episodes that this one keeps from influencing others. */
    readonly released: number
    /** Newest of the artifacts that would become stale. */
    readonly artifacts: readonly TrainedArtifact[]
  }
}

/** An episode on the map of the memory. */
export interface MapPoint {
  readonly id: string
  /** First part of the question, at most 120 characters. */
  readonly question: string
  readonly answer: string | null
  readonly reward: number
  readonly steers: boolean
  readonly label: boolean | null
  /** Place along the first and the second principal component of the projections. */
  readonly x: number
  readonly y: number
}

/** The newest episodes of a tenant and a model, in two dimensions. */
export interface EpisodeMap {
  readonly points: readonly MapPoint[]
  /** Share of the variance of the projections along x and along y, in [0, 1]. */
  readonly explained: readonly [x: number, y: number]
}

/** The keys that a model profile gives to answers. */
export interface AnswerKeys {
  /** Names the rules (`ModelInfo.answerRules`): keys of other rules are not compared with these. */
  readonly rules: string
  /** Returns the key of a caller's answer, or of a key; null when nothing is left of it. */
  keyOf(answer: string): string | null
  /** Returns the key of the answer in a text of the model; null when there is none. */
  keyIn(text: string): string | null
}

export type Feedback = { readonly correct: boolean } | { readonly answer: string }

/**
 * The episodes of each tenant. Every method is scoped by tenant: another tenant's id behaves as if it did
 * not exist.
 * @throws ServiceError STORE_UNAVAILABLE when the database cannot be reached; EPISODE_NOT_FOUND from methods
 * that take an id.
 */
export interface EpisodeStore extends EpisodeMemory {
  /**
   * Commits episode, candidates with their thoughts, latents and the outbox row in one transaction.
   *
   * @param signal deadline of the caller; an episode may be stored although it passed
   */
  add(episode: NewEpisode, signal?: AbortSignal): Promise<void>
  list(
    tenantId: string,
    options: { readonly limit: number; readonly cursor?: string; readonly filter?: EpisodeFilter },
  ): Promise<EpisodePage>
  /** Returns the episodes with these ids, in the order of the ids; those that do not exist are left out. */
  find(tenantId: string, ids: readonly string[]): Promise<readonly EpisodeSummary[]>
  get(tenantId: string, id: string): Promise<EpisodeDetail>
  /** Returns what led an episode, what it led, and what its deletion changes. */
  influence(tenantId: string, id: string): Promise<EpisodeInfluence>
  /**
   * Returns the newest episodes of a model, at most `limit`, in two dimensions: the first two principal components
   * of their projections. Works in slices of a few milliseconds.
   */
  map(
    tenantId: string,
    options: { readonly fingerprint: string; readonly limit: number },
  ): Promise<EpisodeMap>
  /**
   * Relabels candidates by the caller's feedback (source `feedback`); `answer` must already be normalised.
   * Also derives anew which episodes steer: this one, those of the same question, and its descendants.
   *
   * @param keys rules of today: stored answers of other rules are brought to them first. null, the default: the
   *   stored answers stay.
   */
  label(tenantId: string, id: string, feedback: Feedback, keys?: AnswerKeys | null): Promise<EpisodeDetail>
  remove(tenantId: string, id: string): Promise<void>
  /**
   * Hides all episodes that the tenant has, in no more than a few milliseconds; a worker then erases them in
   * bites. Episodes stored after the call stay. While an earlier deletion of the tenant is unfinished, it takes
   * the episodes stored since as well, and its record is returned.
   */
  removeAll(tenantId: string): Promise<Deletion>
  /** Returns the record of a deletion of this tenant. @throws ServiceError DELETION_NOT_FOUND */
  deletion(tenantId: string, id: string): Promise<Deletion>
  /**
   * Labels candidates (feedback, else reference, else majority of samples, else self-reward) and marks the
   * episode indexed. Run by the worker after each solved request; idempotent.
   */
  index(tenantId: string, id: string): Promise<void>
}
