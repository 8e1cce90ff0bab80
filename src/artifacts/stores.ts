/** @file The interfaces of the two stores: artifacts, and consolidations with their recorded steps. */

import type { Artifact, ArtifactKind, ArtifactManifest, Metric, Metrics, NewArtifact } from './artifact.ts'
import type { ConsolidatedArtifact, Consolidation, Trigger } from './consolidation.ts'
import type { NightReport, StepRecord } from './consolidation-report.ts'
import type { Coverage } from './sql/consolidation-coverage.ts'

export interface ArtifactFilter {
  readonly fingerprint?: string
  readonly kind?: ArtifactKind
  readonly limit: number
}

/** A version whose live outcomes are watched: active since its promotion. */
export interface WatchedVersion extends Pick<Artifact, 'id' | 'kind' | 'fingerprint' | 'version'> {
  /** Version that was active before it; null when there was none. */
  readonly before: string | null
  readonly activeSince: Date
  /** Number of looks at its live outcomes so far. */
  readonly looks: number
  /** Number of outcomes at the last look; 0 before the first. */
  readonly outcomes: number
}

/** A look at the live outcomes of a watched version. */
export interface HealthLook {
  /** Number of the look, counted from 1. */
  readonly look: number
  /** Number of outcomes, rounded down. */
  readonly outcomes: number
  /** Set when the outcomes have fallen, so that the version is rolled back; null: it stays. */
  readonly fall: {
    readonly reason: string
    /** Share of right answers of the version before. */
    readonly before: Metric
    /** Share of right answers of this version. */
    readonly since: Metric
  } | null
}

/**
 * The artifacts of all models. An artifact belongs to a model, not to a tenant: all tenants of the model use
 * it.
 * @throws ServiceError STORE_UNAVAILABLE from every method.
 */
export interface ArtifactStore {
  /**
   * Stores a candidate, which is stale from the start if one of its episodes has been deleted. Idempotent by
   * consolidation and kind: a second call returns the artifact of the first.
   * @throws ServiceError CONSOLIDATION_NOT_FOUND
   */
  add(artifact: NewArtifact): Promise<Artifact>
  /**
   * Returns the ONNX file. @throws ServiceError ARTIFACT_NOT_FOUND; ARTIFACT_INVALID when its checksum is
   * wrong, or retention has deleted it
   */
  bytes(id: string): Promise<Uint8Array>
  /** Returns the manifest. @throws ServiceError ARTIFACT_NOT_FOUND */
  manifest(id: string): Promise<ArtifactManifest>
  /** Returns artifacts, newest first. */
  list(filter: ArtifactFilter): Promise<readonly Artifact[]>
  /** Returns the active versions of a model, by kind; a kind without one is absent. */
  active(fingerprint: string): Promise<Readonly<Partial<Record<ArtifactKind, Artifact>>>>
  /**
   * Returns the anchors of a model, by kind: of each kind the last promoted version whose quality was
   * measurably above that of the anchor before it. A kind without one is absent.
   */
  anchors(fingerprint: string): Promise<Readonly<Partial<Record<ArtifactKind, Artifact>>>>
  /**
   * Records the gate's verdict on a candidate; promotion activates it in the same transaction. A candidate
   * that passed earlier and still waits for its activation is rejected when a newer one passes. A candidate
   * waits too when another version is active than the one that it was compared with. The first verdict stays: a
   * later call changes nothing, also when an operator has rolled back in between.
   * @throws ServiceError ARTIFACT_NOT_FOUND
   */
  settle(
    id: string,
    verdict: {
      readonly promoted: boolean
      /** Whether a promoted version becomes the anchor of its kind; false unless given. */
      readonly isAnchor?: boolean
      /**
       * Whether a candidate that passed waits for its activation instead of being promoted; false unless
       * given.
       */
      readonly isReviewed?: boolean
      /**
       * Id of the version that the gate compared with as the active one; null for none. Not checked unless
       * given.
       */
      readonly comparedWith?: string | null
      readonly reason: string | null
      /** Metrics measured by the gate; they replace those with which the artifact was added. */
      readonly metrics?: Metrics
      readonly baseline?: Metrics
    },
  ): Promise<Artifact>
  /**
   * Makes an artifact the active version of its model in place of any other, to roll back or forward again. A
   * candidate that passed the gate is promoted by it.
   * @throws ServiceError ARTIFACT_NOT_FOUND; ARTIFACT_INVALID when it belongs to a model other than
   * `fingerprint` or its bytes are damaged or deleted; ARTIFACT_NOT_PROMOTED when it has not passed the gate,
   * unless `force` is true
   */
  activate(id: string, fingerprint: string, options?: { readonly force?: boolean }): Promise<Artifact>
  /**
   * Rejects a version that passed the gate and waits for its activation; the reason is added to that of the gate.
   * @throws ServiceError ARTIFACT_NOT_FOUND; ARTIFACT_INVALID when it belongs to a model other than `fingerprint`;
   * ARTIFACT_NOT_WAITING when it does not wait
   */
  reject(
    id: string,
    review: { readonly fingerprint: string; readonly reason: string | null },
  ): Promise<Artifact>
  /**
   * Returns the versions of all models that are watched: active since their promotion. A version that an
   * operator activated, or that a rollback went back to, is not.
   */
  watched(): Promise<readonly WatchedVersion[]>
  /**
   * Records a look at a watched version. After a fall, it rejects the version, with the reason and with the
   * figures as metric `live`, and activates the version before it (the newest older promoted one when that
   * cannot serve; none when there is none), in one transaction.
   * @returns null when nothing was recorded, because the version is no longer watched or another worker has
   *   recorded this look; else the version that became active by a rollback, null for none
   */
  recordLook(id: string, look: HealthLook): Promise<{ readonly to: string | null } | null>
}

export interface ConsolidationRequest {
  readonly fingerprint: string
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
  /** Trace that the job of the consolidation continues (W3C Trace Context); none unless given. */
  readonly traceparent?: string | undefined
  /** Id of the HTTP request, for the job. */
  readonly requestId?: string
}

/**
 * The consolidations of all models.
 * @throws ServiceError STORE_UNAVAILABLE from every method; CONSOLIDATION_NOT_FOUND from methods that take
 * an id.
 */
export interface ConsolidationStore {
  /**
   * Requests a consolidation: adds its row and its outbox row in one transaction. While a consolidation of
   * the same model is queued or running, returns that one instead.
   */
  request(request: ConsolidationRequest): Promise<Consolidation>
  get(id: string): Promise<Consolidation>
  /** Returns consolidations, the one requested last first. */
  list(filter: { readonly fingerprint?: string; readonly limit: number }): Promise<readonly Consolidation[]>
  /**
   * Counts an attempt and sets the status from `queued` to `running`. A running consolidation stays running;
   * an ended one is not changed.
   * @returns the consolidation after the change
   */
  begin(id: string): Promise<Consolidation>
  /** Returns the result of a finished step, which is never null; null while the step is not finished. */
  stepResult(id: string, step: string): Promise<unknown>
  /** Records what a snapshot covered; of several kinds the smallest figures stay. */
  noteCoverage(id: string, coverage: Coverage): Promise<void>
  /** Returns what the snapshots covered; null when none was taken. */
  coverage(id: string): Promise<Coverage | null>
  /** Records the current step and the progress. Changes nothing once the consolidation has ended. */
  enterStep(id: string, step: string, progress: number): Promise<void>
  /** Records a step's result (JSON); the first result stays. */
  finishStep(id: string, step: string, result: unknown): Promise<void>
  /** Returns the finished steps, in the order in which they finished. */
  steps(id: string): Promise<readonly StepRecord[]>
  /** Returns the report. @throws ServiceError REPORT_NOT_FOUND while the consolidation has not ended */
  report(id: string): Promise<NightReport>
  /**
   * Ends a consolidation; the first outcome stays. The name of the last step is kept, and also the progress
   * when it failed.
   */
  finish(
    id: string,
    outcome:
      | {
          readonly status: 'promoted' | 'awaiting-review' | 'rejected'
          readonly artifacts: readonly ConsolidatedArtifact[]
          readonly episodes: number
        }
      | { readonly status: 'failed'; readonly error: string },
  ): Promise<void>
  /**
   * Queues consolidations again that are still unfinished `olderThanMs` after their job was handed over,
   * because the queue may have lost it. The job id is the same, so a queue that still has the job ignores
   * the second one; the queue must not keep failed jobs.
   * @returns the number of consolidations queued again
   */
  recover(olderThanMs: number): Promise<number>
}

export interface LearningState {
  /** Time of the freeze; null while learning goes on. */
  readonly frozenSince: string | null
  /** Reason that the operator gave, if any. */
  readonly reason: string | null
}

/**
 * The freeze of the whole instance: while it lasts, no episode is kept and no version is trained or promoted.
 * Answers and retrieval go on.
 * @throws ServiceError STORE_UNAVAILABLE from every method.
 */
export interface LearningStore {
  state(): Promise<LearningState>
  /** Freezes learning. Idempotent: the first freeze stays, with its time and reason. */
  freeze(options?: { readonly reason?: string | undefined }): Promise<LearningState>
  /** Resumes learning. Idempotent. */
  unfreeze(): Promise<LearningState>
}
