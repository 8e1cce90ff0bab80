/**
 * @file `auto`: a day of LatentEvolve (arXiv 2509.24771, Eq. 8): draft, weave, transfer, refine.
 * Deviates: memory acts only after a failed draft (the gate), so it cannot break an answer that was good without it.
 * Refinement is argmax with one rollout unless the profile says otherwise (the paper samples 8 at learning rate .3).
 */

import {
  type AnswerMemo,
  type Found,
  hasPassed,
  higherReward,
  transferMomentum,
  untilEos,
  type WeighedNeighbour,
} from '#algorithms'
import { hasCode } from '#errors'
import { announceDraft, draftAnswer } from '../draft.ts'
import { embedQuery } from '../embed-query.ts'
import { createMemo, draftAsFound, refine } from '../refine.ts'
import { describeRetrieved, retrieve } from '../retrieve.ts'
import { type Outcome, outOfTokens, type Run } from '../run.ts'

export async function auto(run: Run): Promise<Outcome> {
  const embedding = await embedQuery(run)
  const [neighbours, draft] = await Promise.all([retrieve(run, embedding), draftAnswer(run)])
  const retrieved = describeRetrieved(neighbours)
  run.emit({ event: 'retrieval', data: { retrieved } })
  announceDraft(run, draft)

  const first = draftAsFound(draft, run.settings.latents)
  const memo = createMemo(run, first)
  const known = [first]
  const failed = !hasPassed(draft.evaluation.judgement, run.settings.stopReward)
  if (failed && embedding !== null && neighbours.length > 0) {
    const moved = await run.meter.time('optimizeMs', () =>
      startFromMemory(run, { first, memo, embedding, neighbours }),
    )
    if (moved !== null) known.push(moved)
  }
  return refine(run, { draft, embedding, retrieved, memo, known, best: known.reduce(higherReward) })
}

interface Remembered {
  readonly first: Found
  readonly memo: AnswerMemo
  readonly embedding: Float32Array
  readonly neighbours: readonly WeighedNeighbour[]
}

/** z_0 and the answer it decodes to, which costs an evaluation when it is a new one; null when there is no budget for it. */
async function startFromMemory(run: Run, remembered: Remembered): Promise<Found | null> {
  const { first, memo, embedding, neighbours } = remembered
  const { engine, weaver, settings, signal } = run
  if (settings.retrieval === null || outOfTokens(run)) return null
  try {
    const woven = await weaver.apply(embedding, first.latents)
    const latents = await transferMomentum(woven, neighbours, {
      weaver,
      maxShift: settings.retrieval.maxShift,
    })
    const tokens = await engine.head.decode(latents, signal)
    const [evaluation] = await memo.evaluate([tokens])
    return { evaluation: evaluation!, latents, prefix: untilEos(tokens, engine.eosTokenIds), step: 0 }
  } catch (error) {
    // Out of time: the draft is what there is.
    if (hasCode(error, 'ABORTED') && signal.aborted) return null
    throw error
  }
}
