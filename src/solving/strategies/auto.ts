/**
 * @file `auto`: a day of LatentEvolve (arXiv 2509.24771, Eq. 8): draft, weave, transfer, refine.
 * Deviates: weaver and memory never cost an answer that was good without them. With a full draft they act only after it has
 * failed (the gate); with a lazy one they answer first, and the draft is finished unless they pass. Refinement is argmax
 * with one rollout unless the profile says otherwise (the paper samples 8 at learning rate .3).
 */

import { hasPassed, higherReward, type SearchPoint, takeLatents } from '#algorithms'
import { announceDraft, beginDraft, finishDraft } from '../draft.ts'
import { embedQuery } from '../embed-query.ts'
import { createLead } from '../lead.ts'
import { createMemo, draftPoint, refine } from '../refine.ts'
import { describeRetrieved, retrieve } from '../retrieve.ts'
import type { Outcome, Run } from '../run.ts'

export async function auto(run: Run): Promise<Outcome> {
  const { settings, weaver } = run
  const embedding = await embedQuery(run)
  const mayBeLed = embedding !== null && (settings.retrieval !== null || weaver.version !== null)
  const isLazy = mayBeLed && settings.draft === 'lazy'
  const [neighbours, begun] = await Promise.all([
    retrieve(run, embedding),
    beginDraft(run, isLazy ? settings.latents : Number.POSITIVE_INFINITY),
  ])
  const retrieved = describeRetrieved(neighbours)
  run.emit({ event: 'retrieval', data: { retrieved } })

  const passes = ({ evaluation }: SearchPoint) => hasPassed(evaluation.judgement, settings.stopReward)
  const memo = createMemo(run, null)
  const lead = createLead(run, {
    zBase: takeLatents(begun.latents, settings.latents),
    ...{ memo, embedding, neighbours },
  })
  if (isLazy && leadsAway(await lead.prefix(), begun.tokens)) {
    const led = await lead.found()
    if (led !== null && passes(led)) {
      const draft = { evaluation: null, latents: begun.latents }
      return refine(run, { draft, embedding, retrieved, memo, known: [led], best: led })
    }
  }
  const draft = await finishDraft(run, begun)
  announceDraft(run, draft)
  const first = draftPoint(draft, settings.latents)
  memo.remember(first.prefix, first.evaluation)
  const led = passes(first) ? null : await lead.found()
  const known = led === null ? [first] : [first, led]
  return refine(run, { draft, embedding, retrieved, memo, known, best: known.reduce(higherReward) })
}

/** Whether an answer that begins with `prefix` is another one than the draft that begins with `tokens`. */
function leadsAway(prefix: readonly number[] | null, tokens: readonly number[]): boolean {
  return prefix?.some((token, index) => token !== tokens[index]) ?? false
}
