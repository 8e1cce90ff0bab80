/**
 * @file `auto`: draft, weave, transfer, refine (LatentEvolve, arXiv 2509.24771, Eq. 8).
 *
 * Deviates: weaver and memory never cost an answer that was good without them. With a full draft they act only after it has
 * failed (the gate); with a lazy one they answer first, and the draft is finished unless they pass. Refinement is argmax
 * with one rollout unless the profile says otherwise (the paper samples 8 at learning rate .3).
 */

import { hasPassed, higherReward, type SearchPoint, takeLatents } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import { createMemo, draftPoint, refine } from './refine.ts'

export async function auto(context: SolveContext): Promise<Outcome> {
  const { settings, answers, memory } = context
  const { latents } = settings
  const isLazy = memory.mayLead && settings.draft === 'lazy'
  const [neighbours, begun] = await Promise.all([
    memory.retrieve(),
    answers.begin({ maxTokens: isLazy ? latents : Number.POSITIVE_INFINITY, latents }),
  ])
  const passes = ({ evaluation }: SearchPoint) => hasPassed(evaluation.judgement, settings.stopReward)
  const memo = createMemo(context, null)
  const zBase = takeLatents(begun.latents, latents)
  const warmStart = memory.warmStart({ zBase, tokens: begun.tokens, neighbours, memo, answers })
  if (isLazy && differs(await warmStart.prefix(), begun.tokens)) {
    const led = await warmStart.point()
    if (led !== null && passes(led)) {
      return refine(context, {
        base: null,
        draftLatents: begun.latents,
        memo,
        known: [led],
        best: led,
        movedBy: warmStart.movedBy,
      })
    }
  }
  const draft = await answers.finish(begun)
  const first = draftPoint(draft, latents)
  memo.remember(first.prefix, first.evaluation)
  const led = passes(first) ? null : await warmStart.point()
  const known = led === null ? [first] : [first, led]
  return refine(context, {
    base: draft.evaluation,
    draftLatents: draft.latents,
    memo,
    known,
    best: known.reduce(higherReward),
    movedBy: led === null ? [] : warmStart.movedBy,
  })
}

/** Whether an answer that begins with `prefix` differs from the draft that begins with `tokens`. */
function differs(prefix: readonly number[] | null, tokens: readonly number[]): boolean {
  return prefix?.some((token, index) => token !== tokens[index]) ?? false
}
