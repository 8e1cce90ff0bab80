/** @file Recorded steps: each is done once, even when a consolidation is run again or by several workers. */

import type {
  ArtifactKind,
  Consolidation,
  ConsolidationStore,
  LearningState,
  LearningStore,
} from '#artifacts'
import { NO_TRACER, type Tracer } from '#tracing'
import { progressAt, recordName, type StepName } from './steps.ts'

/** Shortest time, in ms, between two writes of progress. */
const PROGRESS_INTERVAL_MS = 1_000

/** Reports the share of a step that is done, in [0, 1]. */
type Report = (share: number) => void

/** Thrown before a step when learning is frozen. */
export class LearningFrozenError extends Error {
  override readonly name = 'LearningFrozenError'

  constructor({ frozenSince, reason }: LearningState) {
    super(`learning is frozen since ${frozenSince}${reason === null ? '' : `: ${reason}`}`)
  }
}

/** @throws LearningFrozenError; ServiceError STORE_UNAVAILABLE */
export async function expectLearning(learning: Pick<LearningStore, 'state'>): Promise<void> {
  const state = await learning.state()
  if (state.frozenSince !== null) throw new LearningFrozenError(state)
}

export interface RecordedSteps {
  /**
   * Runs a step for each kind, in order, and records each result. A result is JSON: ids and figures, never a
   * question. If any process has recorded the result before, returns that record without running the step.
   *
   * @param some kinds to run the step for; all of the consolidation unless given
   */
  forEach<Result extends object>(
    step: StepName,
    work: (kind: ArtifactKind, report: Report) => Promise<Result>,
    some?: readonly ArtifactKind[],
  ): Promise<(kind: ArtifactKind) => Result>
  /** Runs and records a step that covers all kinds together, in the same way. */
  once<Result extends object>(step: StepName, work: () => Promise<Result>): Promise<Result>
  /** Marks a step as the current one; the caller records its result. */
  enter(step: StepName): Promise<void>
}

export interface StepRecorder {
  readonly consolidations: Pick<ConsolidationStore, 'stepResult' | 'enterStep' | 'finishStep'>
  readonly consolidation: Pick<Consolidation, 'id' | 'kinds'>
  /** Read before every step, and before each kind of a step. */
  readonly learning: Pick<LearningStore, 'state'>
  /** Aborts the consolidation before its next step. */
  readonly signal: AbortSignal
  /** Records a span for each step that runs, with the name of its record; none unless given. */
  readonly tracer?: Tracer
}

/**
 * @throws from each method: errors of `work`, the signal's reason, LearningFrozenError, ServiceError
 * STORE_UNAVAILABLE
 */
export function recordSteps({
  consolidations,
  consolidation,
  learning,
  signal,
  tracer = NO_TRACER,
}: StepRecorder): RecordedSteps {
  const { id, kinds } = consolidation

  async function recorded<Result extends object>(
    record: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    return recordOnce(consolidations, { id, record }, () => tracer.trace(record, {}, work))
  }

  async function checkMayGoOn(): Promise<void> {
    signal.throwIfAborted()
    await expectLearning(learning)
  }

  /** A step that runs again for another kind takes back no progress. */
  let reached = 0
  async function advance(step: StepName, done: number): Promise<void> {
    reached = Math.max(reached, progressAt(step, done))
    await consolidations.enterStep(id, step, reached)
  }

  async function enter(step: StepName): Promise<void> {
    await checkMayGoOn()
    await advance(step, 0)
  }

  return {
    enter,
    async once(step, work) {
      await enter(step)
      return recorded(step, work)
    },
    async forEach<Result extends object>(
      step: StepName,
      work: (kind: ArtifactKind, report: Report) => Promise<Result>,
      some: readonly ArtifactKind[] = kinds,
    ) {
      const results = new Map<ArtifactKind, Result>()
      for (const kind of some) {
        const index = kinds.indexOf(kind)
        await checkMayGoOn()
        const reporter = openReporter((share) => advance(step, (index + share) / kinds.length))
        await reporter.enter()
        try {
          results.set(kind, await recorded(recordName(step, kind), () => work(kind, reporter.report)))
        } finally {
          await reporter.close()
        }
      }
      return (kind) => {
        const result = results.get(kind)
        if (result === undefined) throw new Error(`internal: step ${step}: expected a result for ${kind}`)
        return result
      }
    },
  }
}

/** Returns a recorded result, or does the work and records its result. */
export async function recordOnce<Result extends object>(
  consolidations: Pick<ConsolidationStore, 'stepResult' | 'finishStep'>,
  { id, record }: { readonly id: string; readonly record: string },
  work: () => Promise<Result>,
): Promise<Result> {
  const known = await consolidations.stepResult(id, record)
  if (known !== null) return known as Result
  await consolidations.finishStep(id, record, await work())
  // The store keeps the first result: if another worker was faster, its result counts.
  return (await consolidations.stepResult(id, record)) as Result
}

/** Writes the latest share at intervals, one write at a time. Failed writes are ignored: it only informs. */
function openReporter(write: (share: number) => Promise<void>) {
  let writing = Promise.resolve()
  let writtenAt = performance.now()
  return {
    enter: () => write(0),
    report(share: number): void {
      if (performance.now() - writtenAt < PROGRESS_INTERVAL_MS) return
      writtenAt = performance.now()
      writing = writing.then(() => write(share)).catch(() => {})
    },
    close: () => writing,
  }
}
