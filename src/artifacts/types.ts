/** @file What nights make, and the record of how: versions of weaver and latent reward model, and consolidations. */

import type { NightReport, StepRecord } from './report-types.ts'

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

/**
 * Artifacts belong to a model, not to a tenant: what one night learned serves everybody who uses that model.
 * @throws ServiceError STORE_UNAVAILABLE from every method.
 */
export interface ArtifactStore {
  /**
   * Keeps a candidate, stale from the start if one of its episodes is deleted by now. Idempotent by consolidation and kind: a
   * second call returns the first one's artifact. @throws ServiceError CONSOLIDATION_NOT_FOUND
   */
  add(artifact: NewArtifact): Promise<Artifact>
  /** The ONNX file. @throws ServiceError ARTIFACT_NOT_FOUND, ARTIFACT_INVALID when its bytes are not those that were stored */
  bytes(id: string): Promise<Uint8Array>
  /** @throws ServiceError ARTIFACT_NOT_FOUND */
  manifest(id: string): Promise<ArtifactManifest>
  /** Newest first. */
  list(filter: {
    readonly fingerprint?: string
    readonly kind?: ArtifactKind
    readonly limit: number
  }): Promise<readonly Artifact[]>
  /** What serves a model, by kind; nothing for a kind that has none. */
  active(fingerprint: string): Promise<Readonly<Partial<Record<ArtifactKind, Artifact>>>>
  /**
   * The gate's word on a candidate; promoting activates it in the same transaction. The first word stays: saying it again
   * changes nothing, also after somebody has rolled back. @throws ServiceError ARTIFACT_NOT_FOUND
   */
  settle(
    id: string,
    verdict: {
      readonly promoted: boolean
      readonly reason: string | null
      /** What the gate measured, in place of the figures that it was added with. */
      readonly metrics?: Metrics
      readonly baseline?: Metrics
    },
  ): Promise<Artifact>
  /**
   * Makes an artifact serve its model, whatever served before: roll back, or forward again.
   * @throws ServiceError ARTIFACT_NOT_FOUND, ARTIFACT_INVALID when it belongs to a model other than `fingerprint` or its bytes are damaged
   */
  activate(id: string, fingerprint: string): Promise<Artifact>
}

export type ConsolidationStatus = 'queued' | 'running' | 'promoted' | 'rejected' | 'failed'
export const TRIGGERS = ['request', 'schedule', 'episodes'] as const
export type Trigger = (typeof TRIGGERS)[number]

/** What became of one kind in one consolidation. */
export interface ConsolidatedArtifact {
  readonly kind: ArtifactKind
  readonly version: string | null
  readonly status: 'promoted' | 'rejected' | 'skipped'
  readonly reason: string | null
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface Consolidation {
  readonly id: string
  readonly fingerprint: string
  readonly status: ConsolidationStatus
  readonly artifacts: readonly ConsolidatedArtifact[]
  /** What was asked for. */
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
  /** Share of its steps that are done, in [0, 1]. */
  readonly progress: number
  /** The step in hand, or the last one. */
  readonly step: string | null
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Episodes in its snapshot. */
  readonly episodes: number
  /** How often a worker began it: one that ends its workers over and over is given up by whoever counts. */
  readonly attempts: number
  readonly error: string | null
}

/** @throws ServiceError STORE_UNAVAILABLE from every method; CONSOLIDATION_NOT_FOUND where an id is asked for. */
export interface ConsolidationStore {
  /**
   * Asks for a consolidation: its row and its outbox row in one transaction. While one of the same model is queued or
   * running that one is returned instead.
   */
  request(wish: {
    readonly fingerprint: string
    readonly kinds: readonly ArtifactKind[]
    readonly force: boolean
    readonly trigger: Trigger
  }): Promise<Consolidation>
  get(id: string): Promise<Consolidation>
  /** Newest first. */
  list(filter: { readonly fingerprint?: string; readonly limit: number }): Promise<readonly Consolidation[]>
  /** queued -> running; a consolidation that is running already stays so. Counts the attempt. @returns it, with its status */
  begin(id: string): Promise<Consolidation>
  /** What a finished step left, which is never null; null while it is not finished. */
  stepResult(id: string, step: string): Promise<unknown>
  /** Names the step in hand. Changes nothing once the consolidation is finished. */
  enterStep(id: string, step: string, progress: number): Promise<void>
  /** Records a step's result (JSON); the first word stays. */
  finishStep(id: string, step: string, result: unknown): Promise<void>
  /** All finished steps, in the order in which they were finished. */
  steps(id: string): Promise<readonly StepRecord[]>
  /** What it told about itself at its end. @throws ServiceError REPORT_NOT_FOUND while it has not ended */
  report(id: string): Promise<NightReport>
  /** Ends it; the first word stays. The last step's name stays, and a failed one's progress. */
  finish(
    id: string,
    outcome:
      | {
          readonly status: 'promoted' | 'rejected'
          readonly artifacts: readonly ConsolidatedArtifact[]
          readonly episodes: number
        }
      | { readonly status: 'failed'; readonly error: string },
  ): Promise<void>
  /**
   * Puts consolidations back in line that are still unfinished `olderThanMs` after their job was handed over: the queue may
   * have lost it. Under the same job id, so a queue that still has the job ignores it (and must not keep failed ones).
   * @returns how many
   */
  recover(olderThanMs: number): Promise<number>
}
