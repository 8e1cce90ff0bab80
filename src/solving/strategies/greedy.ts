/** @file `greedy`: the draft and nothing else. */

import { announceDraft, draftAnswer, draftOutcome, stoppedAtDraft } from '../draft.ts'
import { embedQuery } from '../embed-query.ts'
import type { Outcome, Run } from '../run.ts'

export async function greedy(run: Run): Promise<Outcome> {
  const embedding = await embedQuery(run)
  const draft = await draftAnswer(run)
  announceDraft(run, draft)
  return draftOutcome(run, draft, { embedding, stopped: stoppedAtDraft(run, draft, 'single') })
}
