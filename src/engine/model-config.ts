/**
 * @file Reads sizes and special tokens of a decoder from its graph, `config.json`, `generation_config.json` and
 * `genai_config.json`.
 */

import type { DecoderDescription, TokenRange } from '#decoder'
import { type JsonObject, modelInvalid, readJsonIfThere } from './model-files.ts'

export interface ModelConfig {
  /** `D`. */
  readonly hiddenSize: number
  /** `V`: token ids are in [0, V). */
  readonly vocabularySize: number
  /** Upper bound on the tokens of prompt and answer together. */
  readonly contextLength: number
  /** Never empty. */
  readonly eosTokenIds: readonly number[]
  /** Ids without a token in the tokenizer, in order: they are never chosen. */
  readonly unusedTokens: readonly TokenRange[]
  /** Fills finished rows; its outputs are never read. */
  readonly padTokenId: number
}

/** What tokenizer and chat template say about the tokens of a model. */
export interface TokenizerTokens {
  /** Ids of all tokens. */
  readonly ids: Iterable<number>
  /** Id of `eos_token` in `tokenizer_config.json`; none when there is no such token. */
  readonly eos: readonly number[]
  /** Id of the token that the chat template writes after an answer; none when it writes a text. */
  readonly turnEnd: readonly number[]
  /**
   * `model_max_length` of `tokenizer_config.json`, the last source of the context length: configs of models
   * without position embeddings have none (Bloom).
   */
  readonly maxLength: unknown
}

/** Files of a directory that describe its model. */
export interface ConfigFiles {
  /** Name of the file that `config` is from. */
  readonly name: 'config.json' | 'genai_config.json'
  /** Fields of the text model on one level, by the names of `config.json`. */
  readonly config: JsonObject
  /** `generation_config.json`. */
  readonly generation: JsonObject | null
}

/** Names of the context length in `config.json`, by family: most; GPT-2, GPT-J, CodeGen; MPT; older Bloom. */
const CONTEXT_NAMES = ['max_position_embeddings', 'n_positions', 'max_seq_len', 'seq_length', 'n_ctx']

/**
 * Reads `config.json`, or `genai_config.json`, which onnxruntime-genai writes instead. Configs of multimodal
 * models keep the text model's fields in `text_config`.
 *
 * @throws ServiceError MODEL_INVALID when there is neither
 */
export async function readConfigFiles(root: string): Promise<ConfigFiles> {
  const generation = await readJsonIfThere(root, 'generation_config.json')
  const config = await readJsonIfThere(root, 'config.json')
  if (config !== null) {
    return { name: 'config.json', config: { ...config, ...objectOf(config['text_config']) }, generation }
  }
  const genai = await readJsonIfThere(root, 'genai_config.json')
  if (genai === null) {
    throw modelInvalid(
      `the file config.json in ${root} (or genai_config.json of onnxruntime-genai)`,
      'neither',
      "copy config.json from the model's repository",
    )
  }
  const model = objectOf(genai['model'])
  const decoder = objectOf(model['decoder'])
  const sizes = { head_dim: decoder['head_size'], max_position_embeddings: model['context_length'] }
  return { name: 'genai_config.json', config: { ...model, ...decoder, ...sizes }, generation }
}

/**
 * Reads the sizes and the special tokens for serving. The widths are those of the graph. End-of-sequence ids
 * come from `generation_config.json` if it has any (chat models end a turn with another token than a text), else
 * from `config.json` and `tokenizer_config.json`; the token with which the chat template ends a turn is always
 * one of them.
 *
 * @throws ServiceError MODEL_INVALID when a field is missing or out of range
 */
export function readModelConfig(
  { name, config, generation }: ConfigFiles,
  description: DecoderDescription,
  tokens: TokenizerTokens,
): ModelConfig {
  const { vocabularySize, hiddenSize, maxWidth } = description
  const generated = tokenIds(generation?.['eos_token_id'])
  const own = generated.length > 0 ? generated : [...tokenIds(config['eos_token_id']), ...tokens.eos]
  const eosTokenIds = [...new Set([...own, ...tokens.turnEnd])]
  if (eosTokenIds.length === 0 || eosTokenIds.some((id) => id >= vocabularySize)) {
    throw modelInvalid(
      `eos_token_id in generation_config.json or ${name}, eos_token in tokenizer_config.json, or the end of a turn ` +
        `in the chat template to be one or several ids below the vocabulary's size ${vocabularySize}`,
      JSON.stringify(generation?.['eos_token_id'] ?? config['eos_token_id'] ?? null),
      'set eos_token_id: without it an answer never ends',
    )
  }
  const [padTokenId] = tokenIds(generation?.['pad_token_id'] ?? config['pad_token_id'])
  return {
    hiddenSize,
    vocabularySize,
    unusedTokens: rangesWithout([...tokens.ids, ...eosTokenIds], vocabularySize),
    contextLength: Math.min(
      contextLength(name, config, tokens.maxLength),
      maxWidth ?? Number.POSITIVE_INFINITY,
    ),
    eosTokenIds,
    padTokenId: padTokenId !== undefined && padTokenId < vocabularySize ? padTokenId : eosTokenIds[0]!,
  }
}

/** Greatest plausible `model_max_length`: tokenizers without a limit write 1e30. */
const MAX_CONTEXT = 2 ** 24

function contextLength(name: string, config: JsonObject, limit: unknown): number {
  const found = CONTEXT_NAMES.map((key) => config[key]).find((value) => value !== undefined)
  const value = found ?? (Number(limit) <= MAX_CONTEXT ? limit : undefined)
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw modelInvalid(
    `the context length in ${name} (${CONTEXT_NAMES.join(', ')}) or in tokenizer_config.json (model_max_length) ` +
      'to be a positive integer',
    JSON.stringify(value ?? null),
    `set max_position_embeddings in ${name}`,
  )
}

/** Returns the ranges of ids in [0, size) that are not in `ids`. */
function rangesWithout(ids: Iterable<number>, size: number): TokenRange[] {
  const used = new Set(ids)
  const ranges: [number, number][] = []
  for (let id = 0; id < size; id++) {
    if (used.has(id)) continue
    const last = ranges.at(-1)
    if (last?.[1] === id) last[1] = id + 1
    else ranges.push([id, id + 1])
  }
  return ranges
}

function objectOf(value: unknown): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : {}
}

function tokenIds(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value]
  return list.filter((id): id is number => Number.isSafeInteger(id) && id >= 0)
}
