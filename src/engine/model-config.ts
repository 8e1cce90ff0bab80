/**
 * @file Reads sizes and special tokens of a decoder from its graph, `config.json`, `generation_config.json` and
 * `genai_config.json`.
 */

import type { DecoderDescription } from '#decoder'
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
  /** Fills finished rows; its outputs are never read. */
  readonly padTokenId: number
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
 * come from `generation_config.json` if it has any (chat models end a turn with another token than a text),
 * else from `config.json`.
 *
 * @param tokenizerConfig `tokenizer_config.json`, whose `model_max_length` is the last source of the context
 * length: configs of models without position embeddings have none (Bloom)
 * @throws ServiceError MODEL_INVALID when a field is missing or out of range
 */
export function readModelConfig(
  { name, config, generation }: ConfigFiles,
  description: DecoderDescription,
  tokenizerConfig: JsonObject | null,
): ModelConfig {
  const { vocabularySize, hiddenSize, maxWidth } = description
  const eos = generation?.['eos_token_id'] ?? config['eos_token_id']
  const eosTokenIds = tokenIds(eos)
  if (eosTokenIds.length === 0 || eosTokenIds.some((id) => id >= vocabularySize)) {
    throw modelInvalid(
      `eos_token_id in generation_config.json or ${name} to be one or several ids below the vocabulary's size ` +
        `${vocabularySize}`,
      JSON.stringify(eos ?? null),
      'set it: without it an answer never ends',
    )
  }
  const [padTokenId] = tokenIds(generation?.['pad_token_id'] ?? config['pad_token_id'])
  return {
    hiddenSize,
    vocabularySize,
    contextLength: Math.min(
      contextLength(name, config, tokenizerConfig),
      maxWidth ?? Number.POSITIVE_INFINITY,
    ),
    eosTokenIds,
    padTokenId: padTokenId !== undefined && padTokenId < vocabularySize ? padTokenId : eosTokenIds[0]!,
  }
}

/** Greatest plausible `model_max_length`: tokenizers without a limit write 1e30. */
const MAX_CONTEXT = 2 ** 24

function contextLength(name: string, config: JsonObject, tokenizerConfig: JsonObject | null): number {
  const found = CONTEXT_NAMES.map((key) => config[key]).find((value) => value !== undefined)
  const limit = tokenizerConfig?.['model_max_length']
  const value = found ?? (Number(limit) <= MAX_CONTEXT ? limit : undefined)
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw modelInvalid(
    `the context length in ${name} (${CONTEXT_NAMES.join(', ')}) or in tokenizer_config.json (model_max_length) ` +
      'to be a positive integer',
    JSON.stringify(value ?? null),
    `set max_position_embeddings in ${name}`,
  )
}

function objectOf(value: unknown): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : {}
}

function tokenIds(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value]
  return list.filter((id): id is number => Number.isSafeInteger(id) && id >= 0)
}
