/** @file Steps that are done once, however often the work is begun. */

import type { ArtifactKind, Consolidation, ConsolidationStore } from '#artifacts'
import { progressAt, recordName, type StepName } from './steps.ts'

/** Between two writes of progress. */
const REPORT_MS = 1_000

/** Share of the step that is done, in [0, 1]. */
type Report = (share: number) => void

export interface RecordedSteps {
  /**
   * Does a step for each kind, in order. What a kind's step returns is recorded (so it is JSON: ids and figures, never
   * a question); where that has happened before, in whatever process, the record is returned and no work is done.
   */
  forEach<Result extends object>(
    step: StepName,
    work: (kind: ArtifactKind, report: Report) => Promise<Result>,
  ): Promise<(kind: ArtifactKind) => Result>
  /** The same for a step that is done for all kinds together. */
  once<Result extends object>(step: StepName, work: () => Promise<Result>): Promise<Result>
  /** Names a step that records for itself. */
  enter(step: StepName): Promise<void>
}

export interface StepRecorder {
  readonly consolidations: Pick<ConsolidationStore, 'stepResult' | 'enterStep' | 'finishStep'>
  readonly consolidation: Pick<Consolidation, 'id' | 'kinds'>
  /** Between two steps the work may stop: fires to make it. */
  readonly signal: AbortSignal
}

/** @throws what `work` throws, the signal's reason, STORE_UNAVAILABLE */
export function recordSteps({ consolidations, consolidation, signal }: StepRecorder): RecordedSteps {
  const { id, kinds } = consolidation

  async function recorded<Result extends object>(
    record: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const known = await consolidations.stepResult(id, record)
    if (known !== null) return known as Result
    await consolidations.finishStep(id, record, await work())
    // The first word stays: should another worker have been faster, its result is the step's.
    return (await consolidations.stepResult(id, record)) as Result
  }

  async function enter(step: StepName): Promise<void> {
    signal.throwIfAborted()
    await consolidations.enterStep(id, step, progressAt(step, 0))
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
    ) {
      const results = new Map<ArtifactKind, Result>()
      for (const [index, kind] of kinds.entries()) {
        signal.throwIfAborted()
        const reporter = openReporter((share) =>
          consolidations.enterStep(id, step, progressAt(step, (index + share) / kinds.length)),
        )
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

/** Writes the latest share now and then, one write at a time. Progress that is not written harms nobody. */
function openReporter(write: (share: number) => Promise<void>) {
  let writing = Promise.resolve()
  let writtenAt = performance.now()
  return {
    enter: () => write(0),
    report(share: number): void {
      if (performance.now() - writtenAt < REPORT_MS) return
      writtenAt = performance.now()
      writing = writing.then(() => write(share)).catch(() => {})
    },
    close: () => writing,
  }
}
