/** @file Samples of a depth-recurrent model with their thoughts, drawn as `lto` draws them. */

import type { Evaluation } from '#algorithms'
import type { Engine } from '#engine'
import { concurrently, mean } from '#evaluation'
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
  /** P(right) by the verifier; null unless the samples were drawn with verdicts. */
  readonly verified: number | null
  /** Mean log p of its tokens; null as `verified`. */
  readonly logProbability: number | null
}

export interface Sampled {
  readonly problem: Problem
  readonly samples: readonly Sample[]
}

/**
 * Draws samples of each problem through the solver: each has its own noise and its own tokens.
 *
 * @param options.verdicts whether the verifier judges each sample; false unless given
 */
export function drawSamples(
  engine: Engine,
  problems: readonly Problem[],
  options: {
    readonly samples: number
    readonly seed: number
    readonly steps: number
    readonly verdicts?: boolean
  },
): Promise<Sampled[]> {
  const { samples, seed, steps, verdicts = false } = options
  const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }
  return concurrently(problems, CONCURRENCY, async (problem, index) => {
    let drawn: readonly Evaluation[] = []
    const keep = chosenSample((given) => {
      drawn = given
      return 0
    })
    const { solve, answerKeys } = createSolver({ engine, episodes: null, logger, strategies: { lto: keep } })
    // The choice among the samples is the bench's. An explained answer has the signals of its tokens.
    const reward = verdicts ? { verifier: 1, lrm: 0, format: 0 } : { verifier: 0, lrm: 0, format: 1 }
    const request = { tenantId: 'bench', strategy: 'lto', learn: false, explain: verdicts, reward } as const
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
        verified: verdicts ? judgement.correctness : null,
        logProbability: answer.signals && mean([...answer.signals.logProbabilities]),
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

/** P(correct) of every sample by a trained model; with `states`, one that sees the first ones only. */
export async function scoresOf(
  sampled: readonly Sampled[],
  model: TrainedOn,
  states?: number,
): Promise<number[][]> {
  return await concurrently(sampled, 1, async ({ samples }) => [
    ...(await model.score(samples.map(({ thought }) => cutThought(thought, states ?? thought.layers)))),
  ])
}
