/**
 * @file LatentSeek (arXiv 2505.13308) as its published code runs it: the baseline of the engine's bench.
 *
 * Faithful: after every update the answer is generated and judged again, whether its tokens changed or not.
 * On a reference engine there is also no cache and no batch. Profile, reward, head step, stop rule and
 * budgets are the service's own.
 *
 * Generous: a criterion costs one run (the published judge writes up to 4,096 tokens for each of four
 * criteria). The best answer is returned, not the last, so that both sides search for the same answers.
 */

import { type Evaluation, hasPassed, untilEos, updateLength } from '#algorithms'
import type { Outcome, SolveContext } from '#solving'
import { ADAM, freshAdam } from '../../src/algorithms/latent-seek/ascent.ts'
import { draftOutcome } from '../../src/solving/strategies/greedy.ts'
import { draftPoint } from '../../src/solving/strategies/refine.ts'

/** Control strategy for the solver. `iterations` equals `evaluations`: one judgement per update. */
export async function referenceLoop(context: SolveContext): Promise<Outcome> {
  const { settings, answers, head, eosTokenIds, signal } = context
  const begun = await answers.begin({
    maxTokens: Number.POSITIVE_INFINITY,
    latents: updateLength(settings.rho, settings.answerTokens),
  })
  const draft = await answers.finish(begun)
  const start = draftPoint(draft, updateLength(settings.rho, draft.evaluation.answer.tokens.length))
  let { latents } = start
  let adam = freshAdam(latents)
  let actions = start.prefix
  let current: Evaluation = draft.evaluation
  let best = current
  let updates = 0
  while (!hasPassed(best.judgement, settings.stopReward) && updates < settings.maxIterations) {
    const moved = await head.ascend(
      {
        ...ADAM,
        latents,
        adam,
        actions: [actions],
        advantages: [current.judgement.reward],
        maxSteps: 1,
        untilChanged: false,
        lr: settings.lr,
        beta1: settings.beta1,
        temperature: 1,
      },
      signal,
    )
    updates += 1
    latents = moved.latents
    adam = moved.adam
    actions = moved.tokens
    const [evaluation] = await answers.complete([untilEos(actions, eosTokenIds)])
    current = evaluation!
    if (current.judgement.reward > best.judgement.reward) best = current
  }
  return {
    ...draftOutcome(context, draft),
    stopped: 'single',
    chosen: best,
    iterations: updates,
    evaluations: updates,
  }
}
