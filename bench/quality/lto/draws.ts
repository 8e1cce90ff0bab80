/** @file Samples of problems, drawn once for all selection rules. */

import { coeComplex, coeReal, type Evaluation } from '#algorithms'
import type { Engine } from '#engine'
import { concurrently } from '#evaluation'
import type { LatentRewardModel, LatentThought } from '#ports'
import { createSolver } from '#solving'
import type { Problem } from '../../../models/order-of-operations/problems.ts'
import { chosenSample } from '../control-strategies.ts'

/** Number of problems at once; each is a batch of its own. */
const CONCURRENCY = 2

interface Sample {
  readonly answer: string | null
  readonly correct: boolean
  readonly reward: number
  /** P(correct) by the verifier. */
  readonly verified: number
  readonly thought: LatentThought
}

export interface Sampled<Each extends Sample = Sample> {
  readonly problem: Problem
  /** Samples in order: the first n are those of a request for n samples. */
  readonly samples: readonly Each[]
}

/** Draws the samples of `lto` as the service does, seeded by the problem's index. */
export function drawSamples(
  engine: Engine,
  problems: readonly Problem[],
  samples: number,
): Promise<Sampled[]> {
  return concurrently(problems, CONCURRENCY, async (problem, seed) => {
    const drawn = await draw(engine, { question: problem.question, samples, seed })
    return { problem, samples: drawn.map((evaluation) => described(evaluation, problem)) }
  })
}

function described({ answer, judgement }: Evaluation, problem: Problem): Sample {
  if (answer.thought === null)
    throw new Error('samples: expected a latent thought with each sample, got none')
  return {
    answer: answer.answer,
    correct: answer.answer === problem.answer,
    reward: judgement.reward,
    verified: judgement.correctness ?? 0,
    thought: answer.thought,
  }
}

interface Drawing {
  readonly question: string
  readonly samples: number
  readonly seed: number
}

async function draw(engine: Engine, drawing: Drawing): Promise<readonly Evaluation[]> {
  let drawn: readonly Evaluation[] = []
  const keep = chosenSample((given) => {
    drawn = given
    return 0
  })
  const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }
  const solver = createSolver({ engine, episodes: null, logger, strategies: { lto: keep } })
  const request = { tenantId: 'bench', strategy: 'lto', learn: false, explain: false, ...drawing } as const
  await solver.solve(request, { signal: new AbortController().signal })
  return drawn
}

/** Scorers of a sample; higher is better. */
export const SCORERS = ['lrm', 'verifier', 'CoE-R', 'CoE-C'] as const
export type Scorer = (typeof SCORERS)[number]

export interface ScoredSample extends Sample {
  readonly scores: Readonly<Record<Scorer, number>>
}

export function scoreSamples(
  sampled: readonly Sampled[],
  lrm: LatentRewardModel,
): Promise<Sampled<ScoredSample>[]> {
  return concurrently(sampled, 1, async ({ problem, samples }) => {
    const confidences = await lrm.score(samples.map(({ thought }) => thought))
    const scored = samples.map((sample, index) => ({
      ...sample,
      scores: {
        lrm: confidences[index]!,
        verifier: sample.verified,
        'CoE-R': coeReal(sample.thought),
        'CoE-C': coeComplex(sample.thought),
      },
    }))
    return { problem, samples: scored }
  })
}
