/** @file Compiles the way in which the profile's judge is asked, and reads its verdict from its logits or from its text. */

import {
  type AskJudge,
  createLogitVerdicts,
  createWrittenVerdicts,
  readScore,
  readVerdictWord,
  type VerdictTokens,
} from '#algorithms'
import type { Criterion, Engine, ModelProfile, PromptCodec } from '#engine'
import { ServiceError } from '#errors'
import type { LatentSession } from '#ports'

/** Binds the judge to a session; `onTokens` receives the number of tokens that each judgement fed or wrote. */
export type JudgeCompiled = (session: LatentSession, onTokens: (count: number) => void) => AskJudge

/**
 * Compiles the judge of a profile.
 *
 * @throws ServiceError MODEL_INVALID when a criterion's verdict words share their first token or have none (`logit`), or the
 *   profile has no marker that the verdict follows (`generate`, `score`).
 */
export function compileJudge({ codec, model }: Pick<Engine, 'codec' | 'model'>): JudgeCompiled {
  const { judge } = model.profile
  if (judge.verdict === 'logit') {
    const words = judge.criteria.map((criterion) => verdictTokens(criterion, codec))
    return (session, onTokens) => createLogitVerdicts({ session, words, onTokens })
  }
  const readText = textReader(judge)
  const { maxNewTokens, mode, prefill = '' } = judge
  // A verdict inside a thought is none. A continuation judge goes on after the answer, where no thought is open.
  const finalOf = (text: string) => (mode === 'continuation' ? text : codec.splitThought(text, prefill).final)
  const read = (criterion: number, tokens: readonly number[]) => {
    const final = finalOf(codec.decode(tokens))
    // The marker may stand at the end of the prefill.
    return final === null ? 0 : readText(criterion, `${prefill}${final}`)
  }
  return (session, onTokens) => createWrittenVerdicts({ session, maxNewTokens, read, onTokens })
}

function textReader({
  marker,
  verdict,
  criteria,
}: ModelProfile['judge']): (criterion: number, text: string) => number {
  if (marker === undefined) {
    throw new ServiceError(
      'MODEL_INVALID',
      `profile judge: expected a marker for verdict '${verdict}', got none`,
    )
  }
  return verdict === 'score'
    ? (_, text) => readScore(text, marker)
    : (criterion, text) => readVerdictWord(text, marker, criteria[criterion]!)
}

function verdictTokens(criterion: Criterion, codec: PromptCodec): VerdictTokens {
  const firstTokens = (words: readonly string[]) =>
    words.map((word) => {
      const [first] = codec.encode(word)
      if (first === undefined) {
        throw invalid(criterion, `a verdict word that has tokens, got ${JSON.stringify(word)}`)
      }
      return first
    })
  const tokens = { trueTokens: firstTokens(criterion.true), falseTokens: firstTokens(criterion.false) }
  const shared = tokens.trueTokens.find((token) => tokens.falseTokens.includes(token))
  if (shared !== undefined) {
    throw invalid(criterion, `verdict words whose first tokens differ, got token ${shared} for both`)
  }
  return tokens
}

function invalid(criterion: Criterion, expectation: string): ServiceError {
  return new ServiceError(
    'MODEL_INVALID',
    `profile judge criterion ${criterion.name}: expected ${expectation}`,
  )
}
