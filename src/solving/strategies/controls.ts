/**
 * @file Control strategies for benches: what the same tokens or the same disturbance buy without a search. They are given to
 * a solver in place of a strategy of its own; no request can name them.
 */

import { type Evaluation, hasPassed, higherReward, untilEos } from '#algorithms'
import { createRandom } from '#tensor'
import { announceDraft, draftAnswer } from '../draft.ts'
import { createMemo, draftPoint, refine } from '../refine.ts'
import type { Run, StrategyFunction } from '../run.ts'
import { sampleOutcome } from './majority.ts'
import { sampleAnswers } from './sample-answers.ts'

/** One of N samples, by index, as `choose` says. */
export function chosenSample(choose: (samples: readonly Evaluation[]) => number): StrategyFunction {
  return async (run) => {
    const samples = await sampleAnswers(run, run.settings.samples)
    return sampleOutcome(run, samples[choose(samples)]!, null)
  }
}

/** The best of N samples by the same reward; of equals the first. */
export const bestOfSamples = chosenSample((samples) => {
  const rewards = samples.map(({ judgement }) => judgement.reward)
  return rewards.indexOf(Math.max(...rewards))
})

/** After a failed draft: one Gaussian kick of its first latents, `sigma` per coordinate, and the better of the two answers. */
export function gaussianKick(sigma: number): StrategyFunction {
  return async (run) => {
    const draft = await draftAnswer(run)
    announceDraft(run, draft)
    const first = draftPoint(draft, run.settings.latents)
    const memo = createMemo(run, first)
    const known = [first]
    if (!hasPassed(draft.evaluation.judgement, run.settings.stopReward)) {
      const latents = { ...first.latents, data: kicked(run, first.latents.data, sigma) }
      const tokens = await run.engine.head.decode(latents, run.signal)
      const [evaluation] = await memo.evaluate([tokens])
      const prefix = untilEos(tokens, run.engine.eosTokenIds)
      known.push({ evaluation: evaluation!, latents, prefix, step: 0 })
    }
    const noSearch = { ...run, settings: { ...run.settings, maxIterations: 0 } }
    const best = known.reduce(higherReward)
    return refine(noSearch, { draft, memo, known, best, embedding: null, retrieved: [] })
  }
}

function kicked(run: Run, latents: Float32Array, sigma: number): Float32Array {
  const random = createRandom(run.seed)
  return latents.map((value) => value + sigma * random.gaussian())
}
