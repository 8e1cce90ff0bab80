/** @file Checks `circadian.json` beyond its schema: patterns, the correctness criterion, verdict words. */

import { Value } from 'typebox/value'
import { type JsonObject, modelInvalid } from './model-files.ts'
import { ModelProfile } from './profile.ts'
import type { PromptCodec } from './types.ts'

const ADVICE = 'src/engine/profile.ts describes every field'
const MAX_FAULTS = 8

/**
 * The profile with its defaults filled in.
 *
 * @throws ServiceError MODEL_INVALID naming every fault by JSON pointer: against the schema, a pattern that is no regular
 * expression or lacks its group 1, not exactly one criterion `correctness`, verdict words that the tokenizer cannot tell apart.
 */
export function readModelProfile(source: JsonObject, codec: PromptCodec): ModelProfile {
  const profile = Value.Default(ModelProfile, Value.Clone(source))
  if (!Value.Check(ModelProfile, profile)) {
    const faults = Value.Errors(ModelProfile, profile)
      // An unknown field is reported twice; the one with its own pointer says which.
      .filter(({ keyword }) => keyword !== 'additionalProperties')
      .map(({ keyword, instancePath, message }) =>
        `${instancePath || '/'} ${keyword === 'boolean' ? 'is no field of the profile' : message}`.trim(),
      )
    throw modelInvalid('circadian.json to fit its schema', summary(faults), ADVICE)
  }
  const faults = [...patternFaults(profile), ...criterionFaults(profile), ...verdictFaults(profile, codec)]
  if (faults.length > 0) throw modelInvalid('circadian.json to be usable', summary(faults), ADVICE)
  return profile
}

function summary(faults: readonly string[]): string {
  const shown = faults.slice(0, MAX_FAULTS).join('; ')
  return faults.length > MAX_FAULTS ? `${shown}; and ${faults.length - MAX_FAULTS} more` : shown
}

/** What a pattern finds is its group 1. */
function* patternFaults({ answer, format }: ModelProfile): Generator<string> {
  const patterns = {
    '/answer/pattern': answer.pattern,
    '/format/restates/question': format.restates?.question,
    '/format/restates/reasoning': format.restates?.reasoning,
  }
  for (const [pointer, pattern] of Object.entries(patterns)) {
    if (pattern === undefined) continue
    // An alternative that always matches, empty, shows how many groups there are.
    const groups = (new RegExp(`${pattern}|`, 'u').exec('')?.length ?? 1) - 1
    if (groups === 0) yield `${pointer} has no group (...) for what it finds`
  }
  if ((answer.pattern === undefined) === (answer.kind === undefined)) {
    yield "/answer must have exactly one of 'pattern' and 'kind'"
  }
}

function* criterionFaults({ judge }: ModelProfile): Generator<string> {
  const names = judge.criteria.map(({ name }) => name)
  const correctness = names.filter((name) => name === 'correctness').length
  if (correctness !== 1) {
    yield `/judge/criteria must have exactly one criterion named 'correctness', it has ${correctness}`
  }
  for (const name of new Set(names)) {
    if (name !== 'correctness' && names.indexOf(name) !== names.lastIndexOf(name)) {
      yield `/judge/criteria has several criteria named '${name}'`
    }
  }
}

/** A verdict is read from the logits of first tokens: the two sides may share none. */
function* verdictFaults({ judge }: ModelProfile, codec: PromptCodec): Generator<string> {
  for (const [index, criterion] of judge.criteria.entries()) {
    const pointer = `/judge/criteria/${index}`
    for (const word of [...criterion.true, ...criterion.false]) {
      if (codec.encode(word).length === 0)
        yield `${pointer} has the verdict word '${word}', which has no token`
    }
    const trueTokens = new Set(criterion.true.map((word) => codec.encode(word)[0]))
    const shared = criterion.false.find((word) => trueTokens.has(codec.encode(word)[0]))
    if (shared !== undefined) {
      yield `${pointer} has the false verdict '${shared}', whose first token is also that of a true verdict`
    }
  }
}
