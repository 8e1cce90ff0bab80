/** @file N sampled answers in one batch, judged: what majority and best-of-N choose from. */

import { deriveSeed, type Evaluation } from '#algorithms'
import { ServiceError } from '#errors'
import { judgeAnswers } from '../judge-answers.ts'
import { readAnswer } from '../read-answer.ts'
import { allowance, type Run } from '../run.ts'
import { asksForThoughts } from '../thoughts.ts'

/**
 * Each row has its own seed, derived from the request's. A token budget is shared out evenly; when it is smaller than N,
 * fewer answers are sampled.
 *
 * @throws ServiceError ABORTED when the time is up before a token is there.
 */
export async function sampleAnswers(run: Run, samples: number): Promise<readonly Evaluation[]> {
  const rows = Math.min(samples, run.settings.totalTokens)
  const decoded = await run.meter.time('draftMs', () =>
    run.session.generate(
      Array.from({ length: rows }, (_, row) => ({
        prefix: [],
        temperature: run.settings.temperature,
        seed: deriveSeed(run.seed, row),
        maxNewTokens: allowance(run, rows, 0),
        latents: 0,
        thought: asksForThoughts(run),
      })),
    ),
  )
  for (const { generatedTokens } of decoded) run.meter.generatedTokens += generatedTokens
  const begun = decoded.filter(({ tokens }) => tokens.length > 0)
  if (begun.length === 0) {
    throw new ServiceError('ABORTED', 'samples: expected at least one token, got none before the time was up')
  }
  return judgeAnswers(
    run,
    'sample',
    begun.map((each) => readAnswer(run, each)),
  )
}

/** Why a request that sampled once ended. */
export function stoppedAfterSamples(run: Run, chosen: Evaluation): 'maxMs' | 'maxNewTokens' | 'single' {
  if (run.signal.aborted) return 'maxMs'
  return chosen.answer.finish === 'length' ? 'maxNewTokens' : 'single'
}
