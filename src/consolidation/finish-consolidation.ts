/** @file The end of a consolidation: its report, and its status. */

import type { ConsolidationStore } from '#artifacts'
import { buildReport } from './build-report.ts'
import { REPORT } from './steps.ts'

type Outcome = Parameters<ConsolidationStore['finish']>[1]

/** Reports what its recorded steps have left, and finishes it. Whatever was said first stays. @throws STORE_UNAVAILABLE */
export async function finishConsolidation(
  consolidations: Pick<ConsolidationStore, 'get' | 'steps' | 'finishStep' | 'finish'>,
  id: string,
  outcome: Outcome,
): Promise<void> {
  const consolidation = await consolidations.get(id)
  if (consolidation.finishedAt === null) {
    const steps = await consolidations.steps(id)
    const report = buildReport({ consolidation, steps, outcome, endedAt: new Date() })
    await consolidations.finishStep(id, REPORT, report)
  }
  await consolidations.finish(id, outcome)
}
