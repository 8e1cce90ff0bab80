/** @file Samples of a depth-recurrent model with their thoughts, drawn as `lto` draws them. */

import type { Evaluation } from '#algorithms'
import type { Engine } from '#engine'
import { concurrently } from '#evaluation'
import type { LatentThought } from '#ports'
import { createSolver } from '#solving'
import { chosenSample } from '../quality/control-strategies.ts'
import { cutThought, type Example, labelled, type TrainedOn } from '../quality/lto/training.ts'
import type { Problem } from './problems.ts'

const CONCURRENCY = 16

export interface Sample {
  readonly answer: string | null
  readonly correct: boolean
  readonly reward: number
  readonly thought: LatentThought
}

export interface Sampled {
  readonly problem: Problem
  readonly samples: readonly Sample[]
}

/** Draws samples of each problem through the solver: each has its own noise and its own tokens. */
export function drawSamples(
  engine: Engine,
  problems: readonly Problem[],
  { samples, seed, steps }: { readonly samples: number; readonly seed: number; readonly steps: number },
): Promise<Sampled[]> {
  const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }
  return concurrently(problems, CONCURRENCY, async (problem, index) => {
    let drawn: readonly Evaluation[] = []
    const keep = chosenSample((given) => {
      drawn = given
      return 0
    })
    const { solve, answerKeys } = createSolver({ engine, episodes: null, logger, strategies: { lto: keep } })
    // No verdict is asked: the choice among the samples is the bench's.
    const reward = { verifier: 0, lrm: 0, format: 1 }
    const request = { tenantId: 'bench', strategy: 'lto', learn: false, explain: false, reward } as const
    await solve(
      {
        ...request,
        question: problem.question,
        samples,
        seed: seed * 1_000_000 + index,
        thinking: { steps },
      },
      { signal: new AbortController().signal },
    )
    const right = answerKeys.keyOf(problem.answer)
    return {
      problem,
      samples: drawn.map(({ answer, judgement }) => ({
        answer: answer.answer,
        correct: answer.answer === right,
        reward: judgement.reward,
        thought: answer.thought!,
      })),
    }
  })
}

/** Labelled thoughts; with `states`, their first ones only. */
export function examplesOf(sampled: readonly Sampled[], states?: number): readonly Example[] {
  return sampled.flatMap(({ problem: { family, question }, samples }) =>
    samples.map(({ thought, correct }) =>
      labelled({
        family,
        question,
        correct,
        thought: cutThought(thought, states ?? thought.layers),
      }),
    ),
  )
}

/** P(correct) of every sample by a trained model. */
export async function scoresOf(sampled: readonly Sampled[], model: TrainedOn): Promise<number[][]> {
  return await concurrently(sampled, 1, async ({ samples }) => [
    ...(await model.score(samples.map(({ thought }) => thought))),
  ])
}
