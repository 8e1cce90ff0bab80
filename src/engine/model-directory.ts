/** @file Reads and checks a model directory: Hugging Face layout plus `circadian.json`. */

import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { DecoderDescription } from '#decoder'
import { ServiceError } from '#errors'
import { withOlderFiles } from './added-tokens.ts'
import { SPECIAL_TOKENS, tokenText } from './control-tokens.ts'
import { defaultProfile, defaultVariables, describeDefaultProfile } from './default-profile.ts'
import {
  describeArchitecture,
  findMeasuredProfile,
  MEASURED_PROFILES,
  type MeasuredOn,
} from './measured-profiles.ts'
import { type ConfigFiles, type ModelConfig, readConfigFiles, readModelConfig } from './model-config.ts'
import {
  fileInside,
  type JsonObject,
  modelInvalid,
  openDirectory,
  readJson,
  readJsonIfThere,
  readTextIfThere,
} from './model-files.ts'
import { chooseGraph, type ModelGraph } from './model-graph.ts'
import { checkEmbeddingLayer, checkVerdictWords, readModelProfile } from './model-profile.ts'
import {
  ANSWER_RULES,
  DEFAULT_DATE,
  type ModelProfile,
  type RecurrenceProfile,
  type Sampling,
} from './profile.ts'
import { checkChatTemplate, createPromptCodec, type ModelCodec } from './prompt-codec.ts'
import { readSampling } from './sampling-defaults.ts'
import type { ModelInfo, TokenizerFiles } from './types.ts'

/** A checked model directory: everything for the engine except the weights. */
export interface ModelDirectory {
  readonly info: ModelInfo
  readonly codec: ModelCodec
  readonly sizes: ModelConfig
  /** Fields of the text model in `config.json`, or in `genai_config.json` under the same names. */
  readonly config: JsonObject
  /** Path of the ONNX step graph. */
  readonly graphFile: string
  /** Paths of the files with the graph's external data. */
  readonly weightFiles: readonly string[]
  readonly description: DecoderDescription
  /** Weights and architecture, by which measured profiles are found. */
  readonly measuredOn: MeasuredOn
  /** Where the profile is from: `circadian.json`, `models/profiles/NAME`, or `default`. */
  readonly profileSource: string
  /** Assumptions made because no profile was measured on this model, for the log; null when there are none. */
  readonly warning: string | null
  /** Sentences for the log: what was chosen or limited for this model, and why. */
  readonly notes: readonly string[]
}

/**
 * Checks a model directory and reads its data for serving. Opens no ONNX Runtime session; reads all weights
 * once, for the fingerprint.
 *
 * Files: `config.json` (or `genai_config.json`), `tokenizer.json`, `tokenizer_config.json` with a chat template
 * (or `chat_template.jinja`, or `chat_template.json`), optionally `special_tokens_map.json` and `added_tokens.json`
 * (read when the former has no `added_tokens_decoder`), optionally `generation_config.json`, graphs
 * `onnx/model*.onnx` or `model*.onnx`, or the three of a depth-recurrent model (docs/onnx-support.md), whose external data stays inside the directory, optionally `circadian.json`
 * (else a measured profile of this model, else `defaultProfile`), and the embedding mean that it names.
 *
 * @param profiles folder of measured profiles, null for none; the one of the service unless given
 * @throws ServiceError MODEL_INVALID for every fault, with what was expected, what was found, and advice;
 * MODEL_UNSUPPORTED when no graph can be served
 */
export async function loadModelDirectory(
  directory: string,
  profiles: string | null = MEASURED_PROFILES,
): Promise<ModelDirectory> {
  const inspected = await inspectModelDirectory(directory, profiles)
  if (Array.isArray(inspected)) throw inspected[0]
  return inspected
}

/**
 * Does as `loadModelDirectory`, and returns the faults instead of throwing the first: those of the graph and of the
 * tokenizer do not hide each other.
 *
 * @returns the directory, or its faults, at least one
 */
export async function inspectModelDirectory(
  directory: string,
  profiles: string | null = MEASURED_PROFILES,
): Promise<ModelDirectory | [ServiceError, ...ServiceError[]]> {
  try {
    const root = await openDirectory(directory)
    const own = await readJsonIfThere(root, 'circadian.json')
    // A recurrence that does not fit the schema is refused with the fault of the profile.
    const maxSteps = own?.['recurrence'] === undefined ? null : readModelProfile(own).recurrence!.maxSteps
    const reads = [
      readConfigFiles(root).then(async (configFiles) => ({
        configFiles,
        graph: await chooseGraph(root, configFiles.config, maxSteps),
      })),
      readTokenizerFiles(root),
    ] as const
    const outcomes = await Promise.allSettled(reads)
    const [first, ...others] = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [faultOf(outcome.reason)] : [],
    )
    if (first) return [first, ...others]
    const [{ configFiles, graph }, tokenizerFiles] = await Promise.all(reads)
    return await assemble({ root, own, profiles, configFiles, graph, tokenizerFiles })
  } catch (thrown) {
    return [faultOf(thrown)]
  }
}

/** @throws the value itself unless it is an error of the model directory */
function faultOf(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown
  throw thrown
}

interface DirectoryParts {
  readonly root: string
  /** Content of `circadian.json`; null: there is none. */
  readonly own: JsonObject | null
  /** Folder of measured profiles; null: none is looked for. */
  readonly profiles: string | null
  readonly configFiles: ConfigFiles
  readonly graph: ModelGraph
  readonly tokenizerFiles: TokenizerFiles
}

async function assemble(parts: DirectoryParts): Promise<ModelDirectory> {
  const { root, configFiles, graph, tokenizerFiles } = parts
  const hash = createWeightsHash(graph)
  const architecture = describeArchitecture(
    graph.description,
    configFiles.config,
    tokenizerFiles.chatTemplate,
  )
  const recommended = readSampling(configFiles.generation)
  const measuredOn = async () => ({ weights: await digestOf(hash), architecture })
  const chosen = await chooseProfile(parts, recommended.sampling, measuredOn)
  const { profile: own, codec, warning, note, source, folder } = chosen
  const sizes = readModelConfig(configFiles, graph.description, codec.tokens)
  const profile = withSampling(own, recommended.sampling)
  checkVerdictWords(profile, codec)
  checkEmbeddingLayer(profile, graph.description)
  checkChatTemplate(codec, profile)
  const meanFile =
    profile.embedding.mean === null
      ? null
      : await fileInside(folder, folder, profile.embedding.mean, 'the embedding mean of circadian.json')
  const weights = await digestOf(hash)
  return {
    codec,
    sizes,
    config: configFiles.config,
    graphFile: graph.file,
    weightFiles: graph.weightFiles,
    description: graph.description,
    measuredOn: { weights, architecture },
    profileSource: source,
    warning,
    notes: [...(note === null ? [] : [note]), ...notesOn(graph, sizes, configFiles), ...recommended.notes],
    info: {
      id: basename(root),
      directory: root,
      profile,
      embeddingMean: meanFile === null ? null : await readMean(meanFile, sizes.hiddenSize),
      fingerprint: await fingerprint((await hash()).copy(), [
        { role: 'config', file: join(root, configFiles.name) },
        ...(meanFile === null ? [] : [{ role: 'embedding mean', file: meanFile }]),
        // Models whose embedding is the last token's keep the fingerprint that they had before there was another.
        ...(profile.embedding.token === 'last'
          ? []
          : [{ role: 'embedding', text: canonicalJson(embeddingParts(profile)) }]),
        ...(profile.recurrence === undefined
          ? []
          : [{ role: 'recurrence', text: canonicalJson(recurrenceParts(profile.recurrence)) }]),
        { role: 'prompts', text: canonicalJson(promptParts(tokenizerFiles, profile)) },
      ]),
      judgeFingerprint: await fingerprint(createHash('sha256'), [
        { role: 'judge', text: canonicalJson(judgeParts(profile)) },
      ]),
      answerRules: await fingerprint(createHash('sha256'), [
        { role: 'answers', text: canonicalJson({ ...profile.answer, rules: ANSWER_RULES }) },
      ]),
    },
  }
}

/** Returns the profile with the recommended sampling where it has none of its own. */
function withSampling(profile: ModelProfile, recommended: Sampling): ModelProfile {
  const { defaults } = profile
  return { ...profile, defaults: { ...defaults, sampling: { ...recommended, ...defaults.sampling } } }
}

interface ChosenProfile extends Pick<ModelDirectory, 'codec' | 'warning'> {
  readonly profile: ModelProfile
  /** Sentence for the log; null: nothing was chosen. */
  readonly note: string | null
  readonly source: ModelDirectory['profileSource']
  /** Folder of the profile's embedding mean. */
  readonly folder: string
}

/**
 * Reads `circadian.json`, else finds a measured profile, else makes a default one, and creates the codec that the
 * profile asks for.
 */
async function chooseProfile(
  { root, own, profiles, tokenizerFiles: files, graph }: DirectoryParts,
  recommended: Sampling,
  measuredOn: () => Promise<MeasuredOn>,
): Promise<ChosenProfile> {
  const { vocabularySize } = graph.description
  const read = (source: JsonObject) => {
    const profile = readModelProfile(source)
    const { template, answer } = profile
    const codec = createPromptCodec(files, { template, shown: answer.after, vocabularySize })
    return { profile, codec, warning: null, note: null }
  }
  if (own !== null) return { ...read(own), source: 'circadian.json', folder: root }
  const measured = profiles === null ? null : await findMeasuredProfile(profiles, await measuredOn())
  if (measured !== null) {
    const source = `models/profiles/${measured.name}`
    const sentence = `no circadian.json in the model directory: serving on the profile ${source}, which was measured on`
    return {
      ...read(measured.source),
      ...(measured.match === 'weights'
        ? { note: `${sentence} these weights` }
        : {
            warning:
              `${sentence} other weights of this architecture: prompts and rates are from it; no verdict ends a search, ` +
              'and only near-duplicates are retrieved; measure this model with circadian model profile',
          }),
      source,
      folder: measured.folder,
    }
  }
  const variables = defaultVariables(files.chatTemplate)
  const template = { variables, date: DEFAULT_DATE }
  const codec = createPromptCodec(files, { template, vocabularySize })
  const made = defaultProfile(codec, variables, recommended)
  const profile = readModelProfile(made)
  return {
    profile,
    codec,
    warning: describeDefaultProfile(made),
    note: null,
    source: 'default',
    folder: root,
  }
}

async function readTokenizerFiles(root: string): Promise<TokenizerFiles> {
  const advice = "copy it from the model's repository"
  const tokenizer = await readJson(root, 'tokenizer.json', advice)
  const config = withOlderFiles(await readJson(root, 'tokenizer_config.json', advice), tokenizer, {
    special: await readJsonIfThere(root, 'special_tokens_map.json'),
    added: await readJsonIfThere(root, 'added_tokens.json'),
  })
  const chatTemplate =
    (await readTextIfThere(root, 'chat_template.jinja')) ??
    defaultTemplate((await readJsonIfThere(root, 'chat_template.json'))?.['chat_template']) ??
    defaultTemplate(config['chat_template'])
  if (chatTemplate === null) {
    throw modelInvalid(
      'a chat template in chat_template.jinja, chat_template.json or tokenizer_config.json (chat_template)',
      'none',
      'use an instruction-tuned model, or write a template for this one',
    )
  }
  return { tokenizer, config, chatTemplate }
}

/**
 * Returns the template named `default`: some models have several named templates, and this one is for
 * conversations.
 */
function defaultTemplate(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return null
  const named = value.find((entry) => entry?.name === 'default')
  return typeof named?.template === 'string' ? named.template : null
}

function notesOn(
  { choice, description }: ModelGraph,
  { contextLength, eosTokenIds, unusedTokens, vocabularySize }: ModelConfig,
  { generation, config, name }: ConfigFiles,
): string[] {
  const isCut = description.maxWidth === contextLength
  const unused = unusedTokens.reduce((sum, [from, to]) => sum + to - from, 0)
  const declared = [generation?.['eos_token_id'], config['eos_token_id']].flat()
  const undeclared = eosTokenIds.filter((id) => !declared.includes(id))
  return [
    ...(choice === null ? [] : [choice]),
    ...(unused === 0
      ? []
      : [`${unused} of ${vocabularySize} token ids are not in the tokenizer: they are never chosen`]),
    ...(undeclared.length === 0
      ? []
      : [
          `answers also end at the token ${undeclared.join(', ')} of tokenizer_config.json or the chat template, which ` +
            `generation_config.json and ${name} do not name`,
        ]),
    ...(description.recurrence !== null && description.layerStates === null
      ? ['the states of the recurrent core are not as wide as the latents: answers have no latent thoughts']
      : []),
    ...(isCut
      ? [
          `the context is at most ${contextLength} tokens: beyond them this graph computes other positions for all ` +
            'rows of a batch (long-context rope)',
        ]
      : []),
  ]
}

/** Reads `D` little-endian fp32 numbers. */
async function readMean(file: string, hiddenSize: number): Promise<Float32Array> {
  const { size } = await stat(file)
  const advice = 'measure it again with this model, or set embedding.mean to null'
  if (size !== hiddenSize * 4) {
    throw modelInvalid(
      `${hiddenSize} fp32 numbers (${hiddenSize * 4} bytes) in ${file}`,
      `${size} bytes`,
      advice,
    )
  }
  const bytes = await readFile(file)
  const mean = Float32Array.from({ length: hiddenSize }, (_, index) => bytes.readFloatLE(index * 4))
  if (!mean.every(Number.isFinite)) throw modelInvalid(`finite numbers in ${file}`, 'NaN or infinity', advice)
  return mean
}

/** Returns everything but the graph from which the tokens of a prompt follow. */
function promptParts({ tokenizer, config, chatTemplate }: TokenizerFiles, profile: ModelProfile) {
  const { added_tokens_decoder: addedTokens = null } = config
  const specialTokens = SPECIAL_TOKENS.map((name) => tokenText(config[name]))
  const { solver, template } = profile
  return { tokenizer, addedTokens, specialTokens, chatTemplate, template, solver }
}

/** Returns everything but the mean from which the embedding of a question follows. */
function embeddingParts({ embedding: { token, layer } }: ModelProfile) {
  return { token, layer }
}

/** Returns the parts of a recurrence from which latents and thoughts follow. */
function recurrenceParts({ steps, maxSteps, stateSigma }: RecurrenceProfile) {
  return { steps, maxSteps, stateSigma }
}

/**
 * Returns the parts of a profile from which a reward follows, and the rules of `answer.compare`, which decide
 * whether an answer is one. The steps of `answer.normalise` change no reward.
 */
function judgeParts({ judge, format, answer: { normalise: _, ...answer }, defaults }: ModelProfile) {
  const compared = answer.compare === undefined ? answer : { ...answer, rules: ANSWER_RULES }
  return { judge, format, answer: compared, weights: defaults.rewardWeights }
}

/** Returns JSON that does not depend on the order of keys. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

/** A file, or a text, that determines the meaning of latents or of rewards. */
type FingerprintPart = {
  /** Role in the model; the name of a file does not matter. */
  readonly role: string
} & ({ readonly file: string } | { readonly text: string })

/** Returns a function that hashes graph and weights when it is first called; callers copy the hash. */
function createWeightsHash({ file: graphFile, weightFiles }: ModelGraph): () => Promise<Hash> {
  let hash: Promise<Hash> | undefined
  const parts = [
    { role: 'graph', file: graphFile },
    ...weightFiles.map((file) => ({ role: `weights ${relative(dirname(graphFile), file)}`, file })),
  ]
  return () => (hash ??= addParts(createHash('sha256'), parts))
}

async function digestOf(hash: () => Promise<Hash>): Promise<string> {
  return (await hash()).copy().digest('hex')
}

/** Returns the digest of a hash after more parts, in hex. */
async function fingerprint(hash: Hash, parts: readonly FingerprintPart[]): Promise<string> {
  return (await addParts(hash, parts)).digest('hex')
}

/**
 * Adds the contents of `parts` to a hash, in the given order. Reads the files as streams, so that weights of any size
 * pass through a fixed buffer.
 */
async function addParts(hash: Hash, parts: readonly FingerprintPart[]): Promise<Hash> {
  for (const part of parts) {
    const size = 'text' in part ? Buffer.byteLength(part.text) : (await stat(part.file)).size
    // The header makes the hash depend on where one part ends and the next begins.
    hash.update(`${part.role}\0${size}\0`)
    if ('text' in part) hash.update(part.text)
    else for await (const block of createReadStream(part.file, { highWaterMark: 1 << 20 })) hash.update(block)
  }
  return hash
}
