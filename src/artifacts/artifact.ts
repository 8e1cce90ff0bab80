/** @file An artifact: one version of a trained weaver or latent reward model, with its manifest and metrics. */

export const ARTIFACT_KINDS = ['weaver', 'lrm'] as const
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number]

/** A measured figure and how sure it is; `n` counts what it was measured on, `low` and `high` bound its 95 % interval. */
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

/** How an artifact came about; everything needed to train it again, or to find what it must forget. */
export interface ArtifactManifest {
  readonly kind: ArtifactKind
  /** Of the model whose latents it was trained on; latents never move between models. */
  readonly fingerprint: string
  readonly codeVersion: string
  readonly seed: number
  /** Shape and meaning of what it is fed, e.g. `{layers: 5, width: 128}`. */
  readonly features: Readonly<Record<string, number | string>>
  readonly options: Readonly<Record<string, unknown>>
  /** Episodes it was trained or calibrated on. */
  readonly episodes: readonly EpisodeKey[]
}

export type ArtifactStatus = 'candidate' | 'promoted' | 'rejected'

export interface Artifact {
  readonly id: string
  readonly kind: ArtifactKind
  /** Counted by kind and model, e.g. `lrm-3`; what answers and manifests name. */
  readonly version: string
  readonly fingerprint: string
  /** Of its bytes; they are checked against it whenever they are read. */
  readonly sha256: string
  readonly bytes: number
  readonly status: ArtifactStatus
  /** Serves now; at most one by kind and model. */
  readonly active: boolean
  /** Some episode that it was trained on has been deleted. */
  readonly stale: boolean
  readonly createdAt: string
  readonly consolidationId: string
  readonly reason: string | null
  readonly metrics: Metrics
  /** The same figures of what was active then; empty when nothing was. */
  readonly baseline: Metrics
  readonly features: ArtifactManifest['features']
  readonly episodes: number
}

export interface NewArtifact {
  readonly consolidationId: string
  readonly manifest: ArtifactManifest
  readonly bytes: Uint8Array
  readonly metrics: Metrics
  readonly baseline: Metrics
}
