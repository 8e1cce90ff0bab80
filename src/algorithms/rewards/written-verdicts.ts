/**
 * @file Reads verdicts from text that the judge writes: it reasons by greedy decoding and states its verdict
 * at the end.
 *
 * Papers: LatentSeek (arXiv 2505.13308), whose judge ends in true or false; LatentEvolve (arXiv 2509.24771),
 * whose judge gives each criterion a number in [0, 1].
 * Deviates: only the judge's own tokens are read. The published parser reads prompt and output together, so
 * a judge that writes nothing approves through the example in its own prompt.
 */

import { ServiceError } from '#errors'
import type { LatentSession } from '#ports'
import type { AskJudge } from './verifier.ts'

export interface WrittenVerdictsOptions {
  readonly session: Pick<LatentSession, 'generate'>
  /** Upper bound on the tokens that the judge writes about one criterion. */
  readonly maxNewTokens: number
  /**
   * Returns the degree, in [0, 1], that the judge's tokens state for a criterion; 0 when they state none.
   */
  read(criterion: number, tokens: readonly number[]): number
  /**
   * Called with the number of tokens that judging fed to the model, then with the number that the judge
   * wrote.
   */
  onTokens(count: number): void
}

/**
 * Creates an `AskJudge` that lets the judge write. The degree is 0 when the judge did not end within
 * `maxNewTokens`: its verdict is not guessed from an unfinished text. It throws ServiceError ABORTED when the
 * session is stopped before the judge has ended.
 */
export function createWrittenVerdicts(options: WrittenVerdictsOptions): AskJudge {
  const { session, maxNewTokens, read, onTokens } = options
  return async (questions) => {
    onTokens(questions.reduce((sum, { row }) => sum + row.suffix.length, 0))
    const written = await session.generate(
      questions.map(({ row }) => ({
        sequence: row.sequence,
        prefix: row.suffix,
        temperature: 0,
        seed: 0,
        maxNewTokens,
        latents: 0,
      })),
    )
    return questions.map(({ criterion, row }, index) => {
      const { tokens, finish, generatedTokens } = written[index]!
      onTokens(generatedTokens)
      if (finish === 'aborted') {
        throw new ServiceError(
          'ABORTED',
          'judge: expected a whole verdict, got a part of it when the time was up',
        )
      }
      return finish === 'eos' ? read(criterion, tokens.slice(row.suffix.length)) : 0
    })
  }
}
