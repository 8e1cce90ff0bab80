/** @file The stores of nights: versions, and consolidations with their recorded steps. */

import type { Artifact, ArtifactKind, ArtifactManifest, Metrics, NewArtifact } from './artifact.ts'
import type { ConsolidatedArtifact, Consolidation, Trigger } from './consolidation.ts'
import type { NightReport, StepRecord } from './consolidation-report.ts'

export interface ArtifactFilter {
  readonly fingerprint?: string
  readonly kind?: ArtifactKind
  readonly limit: number
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
  list(filter: ArtifactFilter): Promise<readonly Artifact[]>
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

export interface ConsolidationRequest {
  readonly fingerprint: string
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
}

/** @throws ServiceError STORE_UNAVAILABLE from every method; CONSOLIDATION_NOT_FOUND where an id is asked for. */
export interface ConsolidationStore {
  /**
   * Asks for a consolidation: its row and its outbox row in one transaction. While one of the same model is queued or
   * running that one is returned instead.
   */
  request(request: ConsolidationRequest): Promise<Consolidation>
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
