/** @file Reads sizes and special tokens of a decoder from `config.json` and `generation_config.json`. */

import { type JsonObject, modelInvalid } from './model-files.ts'

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

/**
 * Reads the sizes and the special tokens for serving. End-of-sequence ids come from `generation_config.json`
 * if it has any (chat models end a turn with another token than a text), else from `config.json`.
 *
 * @throws ServiceError MODEL_INVALID when a field is missing or out of range
 */
export function readModelConfig(config: JsonObject, generationConfig: JsonObject | null): ModelConfig {
  const hiddenSize = positive(config, 'hidden_size')
  const vocabularySize = positive(config, 'vocab_size')
  const contextLength = positive(config, 'max_position_embeddings')
  const eosTokenIds = tokenIds(generationConfig?.['eos_token_id'] ?? config['eos_token_id'])
  if (eosTokenIds.length === 0 || eosTokenIds.some((id) => id >= vocabularySize)) {
    throw modelInvalid(
      `eos_token_id in generation_config.json or config.json to be one or several ids below vocab_size ${vocabularySize}`,
      JSON.stringify(generationConfig?.['eos_token_id'] ?? config['eos_token_id'] ?? null),
      'set it: without it an answer never ends',
    )
  }
  const [padTokenId] = tokenIds(generationConfig?.['pad_token_id'] ?? config['pad_token_id'])
  return {
    hiddenSize,
    vocabularySize,
    contextLength,
    eosTokenIds,
    padTokenId: padTokenId !== undefined && padTokenId < vocabularySize ? padTokenId : eosTokenIds[0]!,
  }
}

function positive(config: JsonObject, name: string): number {
  const value = config[name]
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw modelInvalid(
    `${name} in config.json to be a positive integer`,
    JSON.stringify(value ?? null),
    'use the config.json of a decoder-only text model',
  )
}

function tokenIds(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value]
  return list.filter((id): id is number => Number.isSafeInteger(id) && id >= 0)
}
