/** @file Merges what the files of a tokenizer say about its added and special tokens. */

import { tokenText } from './control-tokens.ts'
import { type JsonObject, modelInvalid } from './model-files.ts'

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly special?: boolean
}

/** Files that older versions of transformers write beside `tokenizer_config.json`; null: no such file. */
interface OlderFiles {
  /** `special_tokens_map.json`: special tokens by name. */
  readonly special: JsonObject | null
  /** `added_tokens.json`: ids by text. */
  readonly added: JsonObject | null
}

/**
 * Returns `tokenizer_config.json` with the tokens of the older files, as transformers reads them
 * (`PreTrainedTokenizerBase._from_pretrained`, 4.57): not at all when the configuration has `added_tokens_decoder`;
 * else special tokens of `special_tokens_map.json` replace those of the configuration, and `added_tokens.json` adds
 * tokens that `tokenizer.json` does not have among its own.
 */
export function withOlderFiles(
  config: JsonObject,
  tokenizer: JsonObject,
  { special, added }: OlderFiles,
): JsonObject {
  if (config['added_tokens_decoder'] !== undefined) return config
  const additional = [config, special ?? {}].flatMap(({ additional_special_tokens: tokens }) =>
    Array.isArray(tokens) ? tokens : [],
  )
  const named = { ...config, ...special, additional_special_tokens: additional }
  const known = new Set(addedTokens(tokenizer).map(({ content }) => content))
  const specialTexts = new Set([...Object.values(named), ...additional].map(tokenText))
  const others = Object.entries(added ?? {}).filter(([content]) => !known.has(content))
  if (others.length === 0) return named
  const decoder = others.map(([content, id]) => {
    const isSpecial = specialTexts.has(content)
    return [String(id), { content, special: isSpecial, normalized: !isSpecial, lstrip: false, rstrip: false }]
  })
  return { ...named, added_tokens_decoder: Object.fromEntries(decoder) }
}

/**
 * Returns `tokenizer.json` with the added tokens of both files. `added_tokens_decoder` of
 * `tokenizer_config.json` adds tokens and overrides the flags of those with the same text. The tokenizer
 * library reads `tokenizer.json` alone, and would encode the tokens of the other file as text.
 *
 * @param vocabularySize `V`: tokens with ids from here on have no embedding, and are left out
 * @throws ServiceError MODEL_INVALID naming the token whose id differs between the files
 */
export function mergeAddedTokens(
  tokenizer: JsonObject,
  config: JsonObject,
  vocabularySize = Number.POSITIVE_INFINITY,
): JsonObject & { readonly added_tokens: readonly AddedToken[] } {
  const tokens = new Map(addedTokens(tokenizer).map((token) => [token.content, token]))
  const declared = declaredTokens(config)
  const idsByText = declared.some(({ content }) => !tokens.has(content)) ? vocabularyOf(tokenizer) : new Map()
  const textsById = new Map([...idsByText].map(([text, id]) => [id, text]))
  for (const { id, content } of tokens.values()) textsById.set(id, content)
  for (const token of declared) {
    const { id, content } = token
    const known = tokens.get(content)?.id ?? idsByText.get(content)
    if (known !== undefined && known !== id) throw conflict(token, `id ${known}`)
    const other = textsById.get(id)
    if (other !== undefined && other !== content) throw conflict(token, `'${other}' with that id`)
    tokens.set(content, { ...tokens.get(content), ...token })
    textsById.set(id, content)
  }
  return { ...tokenizer, added_tokens: [...tokens.values()].filter(({ id }) => id < vocabularySize) }
}

function addedTokens(tokenizer: JsonObject): AddedToken[] {
  const list = tokenizer['added_tokens']
  return Array.isArray(list) ? list.filter(isAddedToken) : []
}

function declaredTokens(config: JsonObject): AddedToken[] {
  const byId = config['added_tokens_decoder']
  if (byId === null || typeof byId !== 'object') return []
  return Object.entries(byId)
    .map(([id, token]) => ({ ...(token as object), id: Number(id) }))
    .filter(isAddedToken)
}

function isAddedToken(token: unknown): token is AddedToken {
  if (token === null || typeof token !== 'object') return false
  return (
    'content' in token && typeof token.content === 'string' && 'id' in token && Number.isSafeInteger(token.id)
  )
}

/**
 * Returns the ids of all tokens of a tokenizer.
 *
 * @param merged `tokenizer.json` after `mergeAddedTokens` with the same `vocabularySize`
 * @param source `tokenizer.json`
 * @throws ServiceError MODEL_INVALID when its vocabulary does not fit into that of the model
 */
export function idsOfTokens(
  merged: { readonly added_tokens: readonly AddedToken[] },
  source: JsonObject,
  vocabularySize = Number.POSITIVE_INFINITY,
): Set<number> {
  const vocabulary = [...vocabularyOf(source)]
  // Added tokens may have no embedding, and stand in the vocabulary as well.
  const added = new Set(addedTokens(source).map(({ content }) => content))
  const stranger = vocabulary.find(([text, id]) => id >= vocabularySize && !added.has(text))
  if (stranger !== undefined) {
    throw modelInvalid(
      `ids below ${vocabularySize}, the number of logits of the graph, in tokenizer.json`,
      `'${stranger[0]}' with the id ${stranger[1]}`,
      'copy graph and tokenizer from one model',
    )
  }
  return new Set([...vocabulary.map(([, id]) => id), ...merged.added_tokens.map(({ id }) => id)])
}

/** Returns ids by text: BPE, WordPiece and WordLevel keep an object, Unigram a list of `[text, score]`. */
function vocabularyOf(tokenizer: JsonObject): Map<string, number> {
  const model = tokenizer['model']
  const vocab = model !== null && typeof model === 'object' && 'vocab' in model ? model.vocab : null
  if (Array.isArray(vocab)) return new Map(vocab.map(([text], id) => [text, id]))
  return new Map(Object.entries((vocab ?? {}) as Record<string, number>))
}

function conflict({ id, content }: AddedToken, found: string) {
  return modelInvalid(
    `the token '${content}' (added_tokens_decoder of tokenizer_config.json, or added_tokens.json) to have the id ${id} in tokenizer.json`,
    found,
    "copy both files from one version of the model's repository",
  )
}
