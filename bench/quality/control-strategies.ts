/**
 * @file Control strategies: what the same tokens or the same disturbance buy without a search. A bench gives them to a solver in
 * place of one of its own strategies; no request can name them.
 */

import { type Evaluation, hasPassed, higherReward, untilEos } from '#algorithms'
import type { SolveContext, StrategyFunction } from '#solving'
import { createRandom } from '#tensor'
import { sampleOutcome } from '../../src/solving/strategies/majority.ts'
import { createMemo, draftPoint, refine } from '../../src/solving/strategies/refine.ts'

/** Returns one of N samples, the one whose index `choose` returns. */
export function chosenSample(choose: (samples: readonly Evaluation[]) => number): StrategyFunction {
  return async (context) => {
    const samples = await context.answers.sample(context.settings.samples)
    return sampleOutcome(context, samples[choose(samples)]!)
  }
}

/** The best of N samples by the same reward; of equals the first. */
export const bestOfSamples = chosenSample((samples) => {
  const rewards = samples.map(({ judgement }) => judgement.reward)
  return rewards.indexOf(Math.max(...rewards))
})

/** After a failed draft: one Gaussian kick of its first latents, `sigma` per coordinate, and the better of the two answers. */
export function gaussianKick(sigma: number): StrategyFunction {
  return async (context) => {
    const { settings, answers, head, eosTokenIds, signal } = context
    const begun = await answers.begin({ maxTokens: Number.POSITIVE_INFINITY, latents: settings.latents })
    const draft = await answers.finish(begun)
    const first = draftPoint(draft, settings.latents)
    const memo = createMemo(context, first)
    const known = [first]
    if (!hasPassed(draft.evaluation.judgement, settings.stopReward)) {
      const latents = { ...first.latents, data: kicked(context, first.latents.data, sigma) }
      const tokens = await head.decode(latents, signal)
      const [evaluation] = await memo.evaluate([tokens])
      known.push({ evaluation: evaluation!, latents, prefix: untilEos(tokens, eosTokenIds), step: 0 })
    }
    return refine(
      { ...context, settings: { ...settings, maxIterations: 0 } },
      {
        base: draft.evaluation,
        draftLatents: draft.latents,
        memo,
        known,
        best: known.reduce(higherReward),
      },
    )
  }
}

function kicked({ seed }: SolveContext, latents: Float32Array, sigma: number): Float32Array {
  const random = createRandom(seed)
  return latents.map((value) => value + sigma * random.gaussian())
}
