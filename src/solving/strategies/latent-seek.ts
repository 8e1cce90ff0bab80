/** @file `latentseek`: test-time search from the draft alone, no memory (arXiv 2505.13308). */

import { updateLength } from '#algorithms'
import { announceDraft, draftAnswer } from '../draft.ts'
import { embedQuery } from '../embed-query.ts'
import { createMemo, draftPoint, refine } from '../refine.ts'
import type { Outcome, Run } from '../run.ts'

export async function latentSeek(run: Run): Promise<Outcome> {
  const embedding = await embedQuery(run)
  const draft = await draftAnswer(run)
  announceDraft(run, draft)
  const first = draftPoint(draft, updateLength(run.settings.rho, draft.evaluation.answer.tokens.length))
  return refine(run, {
    draft,
    embedding,
    memo: createMemo(run, first),
    known: [first],
    best: first,
    retrieved: [],
  })
}
