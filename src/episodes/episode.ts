/** @file What an episode is: one solved request with everything that was judged on the way. */

import type { EpisodeMemory, Latents, LatentThought } from '#ports'

export type LabelSource = 'feedback' | 'reference' | 'majority' | 'self'
export type CandidateKind = 'draft' | 'regeneration' | 'sample'

export interface Candidate {
  readonly kind: CandidateKind
  readonly tokens: readonly number[]
  readonly text: string
  readonly answer: string | null
  /** In [-1, 0]. */
  readonly reward: number
  /** Term by term, e.g. `verifier`, `verifier.correctness`, `format`; each in [-1, 0]. */
  readonly rewardTerms: Readonly<Record<string, number>>
  /** The candidate that was returned. */
  readonly chosen: boolean
  /** Its reward and P(correct) reach the profile's bar of admission: what self-reward says where nobody knows better. */
  readonly admissible: boolean
  /**
   * How it was thought, for nights to learn from; kept in fp16, and not kept when it does not fit that. Nobody reads it
   * with the episode.
   */
  readonly thought: LatentThought | null
}

export interface StoredCandidate extends Omit<Candidate, 'admissible' | 'thought'> {
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

/** Latents worth remembering; kept in fp16. Absent when the episode must not steer others. */
export interface LatentPair {
  readonly zBase: Latents
  readonly zStar: Latents
}

export interface NewEpisode {
  readonly id: string
  readonly tenantId: string
  readonly fingerprint: string
  readonly modelId: string
  readonly strategy: string
  readonly question: string
  /** Normalised like answers are; null when none was given. */
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
  /** Reward and correctness reached the profile's admission bar: may be retrieved and trained on. */
  readonly admitted: boolean
  readonly candidates: readonly Candidate[]
  readonly latents: LatentPair | null
}

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
  readonly status: 'pending' | 'indexed'
  /** Label of the returned candidate. */
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

export interface EpisodeDetail extends EpisodeSummary {
  readonly fingerprint: string
  readonly reasoning: string
  readonly reference: string | null
  readonly evaluations: number
  readonly generatedTokens: number
  readonly stopped: string
  readonly seed: number
  readonly candidates: readonly StoredCandidate[]
}

export interface EpisodePage {
  readonly episodes: readonly EpisodeSummary[]
  /** Opaque; null on the last page. */
  readonly nextCursor: string | null
}

export type Feedback = { readonly correct: boolean } | { readonly answer: string }

/**
 * Every method is scoped by tenant: another tenant's id behaves as if it did not exist.
 * @throws ServiceError STORE_UNAVAILABLE when the database cannot be reached, EPISODE_NOT_FOUND where an id is asked for.
 */
export interface EpisodeStore extends EpisodeMemory {
  /** Commits episode, candidates with their thoughts, latents and the outbox row in one transaction. */
  add(episode: NewEpisode): Promise<void>
  list(tenantId: string, options: { readonly limit: number; readonly cursor?: string }): Promise<EpisodePage>
  get(tenantId: string, id: string): Promise<EpisodeDetail>
  /** Relabels candidates from the caller's word (source `feedback`); `answer` must already be normalised. */
  label(tenantId: string, id: string, feedback: Feedback): Promise<EpisodeDetail>
  remove(tenantId: string, id: string): Promise<void>
  /** @returns how many episodes were deleted. */
  removeAll(tenantId: string): Promise<number>
  /** The night's first step, run by the worker, idempotent: labels candidates (reference, else majority of samples, else self-reward), marks the episode indexed. */
  index(tenantId: string, id: string): Promise<void>
}
