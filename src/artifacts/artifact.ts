/**
 * @file An artifact: one version of a trained weaver, latent reward model or fused judge, with its manifest and metrics.
 */

export const ARTIFACT_KINDS = ['weaver', 'lrm', 'judge'] as const
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number]

/** A measured value; `n` is the sample size, `low` and `high` bound its 95 % confidence interval. */
export interface Metric {
  readonly value: number
  readonly n: number
  readonly low?: number
  readonly high?: number
}
export type Metrics = Readonly<Record<string, Metric>>

export interface EpisodeKey {
  readonly tenantId: string
  readonly episodeId: string
}

/**
 * The origin of an artifact: all that is needed to train it again, or to find it when an episode is deleted.
 */
export interface ArtifactManifest {
  readonly kind: ArtifactKind
  /** Fingerprint of the model on whose latents it was trained; latents are never used with another model. */
  readonly fingerprint: string
  readonly codeVersion: string
  readonly seed: number
  /** Shape and meaning of its input, e.g. `{layers: 5, width: 128}`. */
  readonly features: Readonly<Record<string, number | string>>
  readonly options: Readonly<Record<string, unknown>>
  /** Episodes on which it was trained or calibrated; empty once retention has deleted the list with the bytes. */
  readonly episodes: readonly EpisodeKey[]
}

export type ArtifactStatus = 'candidate' | 'promoted' | 'rejected'

/**
 * Cause of an activation: the gate's verdict (or its review), an operator's wish, or the fall of the live
 * outcomes of the version after it.
 */
export type Activation = 'promotion' | 'operator' | 'rollback'

export interface Artifact {
  readonly id: string
  readonly kind: ArtifactKind
  /** Name in answers and manifests, numbered by kind and model, e.g. `lrm-3`. */
  readonly version: string
  readonly fingerprint: string
  /** SHA-256 of its bytes, checked at every read. */
  readonly sha256: string
  readonly bytes: number
  readonly status: ArtifactStatus
  /**
   * Verdict of the gate; null until it has decided. A candidate that passed waits for its activation by an
   * operator.
   */
  readonly passed: boolean | null
  /** Whether this is the active version; at most one by kind and model. */
  readonly active: boolean
  /** Cause of its last activation; null when it was never active, or became so under an earlier release. */
  readonly activatedBy: Activation | null
  /** Time at which it was rolled back because its live outcomes had fallen; null when it was not. */
  readonly rolledBackAt: string | null
  /** Whether an episode on which it was trained has been erased on request: it must be replaced. */
  readonly stale: boolean
  /** Number of its episodes that were erased on request since. */
  readonly erasedEpisodes: number
  /** Number of its episodes that were deleted by age since. */
  readonly expiredEpisodes: number
  /** Whether its bytes are stored; retention deletes those of old versions, which cannot become active again. */
  readonly available: boolean
  readonly createdAt: string
  readonly consolidationId: string
  readonly reason: string | null
  readonly metrics: Metrics
  /** The same metrics of the version that was active at the time; empty when there was none. */
  readonly baseline: Metrics
  readonly features: ArtifactManifest['features']
  /** Number of episodes on which it was trained. */
  readonly episodes: number
}

export interface NewArtifact {
  readonly consolidationId: string
  readonly manifest: ArtifactManifest
  readonly bytes: Uint8Array
  readonly metrics: Metrics
  readonly baseline: Metrics
}
