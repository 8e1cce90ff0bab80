/**
 * @file Checks the parts of `circadian.json` that its schema cannot: patterns, the correctness criterion,
 * verdict words.
 */

import { Value } from 'typebox/value'
import type { DecoderDescription } from '#decoder'
import { areBandsInOrder, EFFORTS } from '#ports'
import { type JsonObject, modelInvalid } from './model-files.ts'
import { type Criterion, ModelProfile } from './profile.ts'
import type { PromptCodec } from './types.ts'

const ADVICE = 'src/engine/profile.ts describes every field'
const MAX_FAULTS = 8

/**
 * Returns the profile with its defaults filled in. `checkVerdictWords` checks the rest, which needs the codec.
 *
 * @throws ServiceError MODEL_INVALID naming every fault by JSON pointer: a violation of the schema, a pattern
 * that is no regular expression or lacks its group 1, not exactly one criterion `correctness`, a missing
 * marker, a prefill without a chat, a variable that the service sets, an embedding whose layer is missing,
 * bands of a policy out of order
 */
export function readModelProfile(source: JsonObject): ModelProfile {
  const profile = Value.Default(ModelProfile, Value.Clone(source))
  if (!Value.Check(ModelProfile, profile)) {
    throw modelInvalid('circadian.json to fit its schema', summary(schemaFaults(profile)), ADVICE)
  }
  throwFaults([
    ...patternFaults(profile),
    ...weightFaults(profile),
    ...templateFaults(profile),
    ...criterionFaults(profile),
    ...embeddingFaults(profile),
    ...policyFaults(profile),
    ...recurrenceFaults(profile),
  ])
  return profile
}

/** Returns the violations of the schema, one for each field. */
function schemaFaults(profile: unknown): string[] {
  const errors = Value.Errors(ModelProfile, profile)
  const fields = Map.groupBy(errors, ({ instancePath }) => instancePath)
  return [...fields].flatMap(([pointer, faults]) => {
    const values = faults.flatMap(({ keyword, params }) =>
      keyword === 'const'
        ? JSON.stringify(Object(params).allowedValue)
        : keyword === 'enum'
          ? Object(params).allowedValues.map((word: unknown) => JSON.stringify(word))
          : [],
    )
    const texts = faults
      // An unknown field is reported twice, by its object too; a choice of values by each value and as a whole.
      .filter(({ keyword }) => !['additionalProperties', 'const', 'enum', 'anyOf'].includes(keyword))
      .map(({ keyword, message }) => (keyword === 'boolean' ? 'is not a field of the profile' : message))
    if (values.length > 0) texts.push(`must be ${values.join(' or ')}`)
    return texts.length === 0 ? [] : `${pointer || '/'} ${texts.join(' or ')}`.trim()
  })
}

/** @throws ServiceError MODEL_INVALID naming every verdict word that is missing or ambiguous, by JSON pointer */
export function checkVerdictWords(profile: ModelProfile, codec: Pick<PromptCodec, 'encode'>): void {
  throwFaults([...verdictFaults(profile, codec)])
}

function throwFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw modelInvalid('circadian.json to be usable', summary(faults), ADVICE)
}

function summary(faults: readonly string[]): string {
  const shown = faults.slice(0, MAX_FAULTS).join('; ')
  return faults.length > MAX_FAULTS ? `${shown}; and ${faults.length - MAX_FAULTS} more` : shown
}

/**
 * Yields a fault for each pattern without a group 1, from which the match is read, and one when `/answer` does
 * not have exactly one of `pattern` and `kind`.
 */
function* patternFaults({ answer, format }: ModelProfile): Generator<string> {
  const patterns = {
    '/answer/pattern': answer.pattern,
    '/format/restates/question': format.restates?.question,
    '/format/restates/reasoning': format.restates?.reasoning,
  }
  for (const [pointer, pattern] of Object.entries(patterns)) {
    if (pattern === undefined) continue
    // The added empty alternative always matches, so the match has one entry per group.
    const groups = (new RegExp(`${pattern}|`, 'u').exec('')?.length ?? 1) - 1
    if (groups === 0) yield `${pointer} has no group (...), from which the match is read`
  }
  if ((answer.pattern === undefined) === (answer.kind === undefined)) {
    yield "/answer must have exactly one of 'pattern' and 'kind'"
  }
  if (answer.compare !== undefined && answer.normalise.join() !== 'trim') {
    yield "/answer must have at most one of 'compare' and 'normalise'"
  }
}

/** Yields a fault for weights that are all 0: every request would be refused. */
function* weightFaults({ defaults }: ModelProfile): Generator<string> {
  const { verifier = 0, lrm = 0, format = 0 } = defaults.rewardWeights
  if (verifier + lrm + format === 0) yield '/defaults/rewardWeights must have a weight above 0'
}

/** Yields a fault for each variable that the service sets itself, and for a prefill without a turn to begin. */
function* templateFaults({ template, judge }: ModelProfile): Generator<string> {
  for (const name of ['messages', 'add_generation_prompt']) {
    if (name in template.variables) yield `/template/variables/${name} is set by the service`
  }
  if (judge.prefill !== undefined && judge.mode === 'continuation') {
    yield "/judge/prefill begins a turn, which a judge of mode 'continuation' does not have"
  }
}

/** Yields a fault for each effort whose bands leave a P(correct) without one of its own. */
function* policyFaults({ defaults: { policy } }: ModelProfile): Generator<string> {
  for (const effort of EFFORTS) {
    if (areBandsInOrder(policy?.[effort] ?? [])) continue
    yield `/defaults/policy/${effort} must have bands that begin at 0 and ascend`
  }
}

/** Yields a fault for an embedding over the question without a layer, and for one of the last token with a layer. */
function* embeddingFaults({ embedding: { token, layer } }: ModelProfile): Generator<string> {
  if (token === 'question' && layer === undefined) {
    yield "/embedding has no 'layer', whose states an embedding of token 'question' averages"
  }
  if (token === 'last' && layer !== undefined) {
    yield "/embedding/layer belongs to an embedding of token 'question', the token is 'last'"
  }
}

function* recurrenceFaults({ recurrence }: ModelProfile): Generator<string> {
  if (recurrence !== undefined && recurrence.steps > recurrence.maxSteps) {
    yield `/recurrence/steps must be at most maxSteps, ${recurrence.maxSteps}`
  }
}

/**
 * Checks that the model has the layer that embeddings are read from.
 *
 * @throws ServiceError MODEL_INVALID
 */
export function checkEmbeddingLayer(
  { embedding }: ModelProfile,
  { layerStates }: Pick<DecoderDescription, 'layerStates'>,
): void {
  if (embedding.token === 'last') return
  const states = layerStates?.length ?? 0
  if (states === 0)
    throwFaults(["/embedding/token is 'question', but the layers of this graph are not known"])
  if (embedding.layer! >= states) throwFaults([`/embedding/layer must be at most ${states - 1}`])
}

function* criterionFaults({ judge }: ModelProfile): Generator<string> {
  if (judge.verdict !== 'logit' && judge.marker === undefined) {
    yield `/judge has no 'marker', which a judge of verdict '${judge.verdict}' writes before it`
  }
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

/**
 * Checks that both sides of a verdict exist and differ: by first token for logits, by word for the text of a
 * judge.
 */
function* verdictFaults({ judge }: ModelProfile, codec: Pick<PromptCodec, 'encode'>): Generator<string> {
  if (judge.verdict === 'score') return
  for (const [index, criterion] of judge.criteria.entries()) {
    const pointer = `/judge/criteria/${index}`
    for (const side of ['true', 'false'] as const) {
      if (criterion[side].length === 0) yield `${pointer} has no '${side}' verdict words`
    }
    yield* judge.verdict === 'logit' ? tokenFaults(pointer, criterion, codec) : wordFaults(pointer, criterion)
  }
}

function* tokenFaults(
  pointer: string,
  criterion: Criterion,
  codec: Pick<PromptCodec, 'encode'>,
): Generator<string> {
  for (const word of [...criterion.true, ...criterion.false]) {
    if (codec.encode(word).length === 0) yield `${pointer} has the verdict word '${word}', which has no token`
  }
  const trueTokens = new Set(criterion.true.map((word) => codec.encode(word)[0]))
  const shared = criterion.false.find((word) => trueTokens.has(codec.encode(word)[0]))
  if (shared !== undefined) {
    yield `${pointer} has the false verdict '${shared}', whose first token is also that of a true verdict`
  }
}

function* wordFaults(pointer: string, criterion: Criterion): Generator<string> {
  const fold = (word: string) => word.trim().toLowerCase()
  const blank = [...criterion.true, ...criterion.false].find((word) => fold(word) === '')
  if (blank !== undefined) yield `${pointer} has a verdict word that is only white space`
  const trueWords = new Set(criterion.true.map(fold))
  const shared = criterion.false.find((word) => trueWords.has(fold(word)))
  if (shared !== undefined) yield `${pointer} has '${shared}' for a true and for a false verdict`
}
