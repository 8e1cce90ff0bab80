/** @file Merges the added tokens of `tokenizer_config.json` into those of `tokenizer.json`. */

import { type JsonObject, modelInvalid } from './model-files.ts'

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly special?: boolean
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
    `the token '${content}' (added_tokens_decoder of tokenizer_config.json) to have the id ${id} in tokenizer.json`,
    found,
    "copy both files from one version of the model's repository",
  )
}
