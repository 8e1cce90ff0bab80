/**
 * @file Prompts of earlier requests whose keys and values are still here: a new prompt that begins like one of them is fed
 * from where the two part. A bounded list, the least recently used first to go.
 */

import { type KvView, truncate } from './key-values.ts'

export interface PrefixLimits {
  /** Shared prefixes shorter than this are fed again. */
  readonly minTokens: number
  readonly maxPrompts: number
}

interface KeptPrompt {
  readonly tokens: readonly number[]
  /** Covers all of `tokens`. */
  readonly cache: KvView
  /** State of the last token, `[D]`. */
  readonly state: Float32Array
}

interface Prefix {
  readonly cache: KvView
  /** State of the last token where the whole prompt is known; else null, and at least its last token is left to feed. */
  readonly state: Float32Array | null
}

export interface PrefixCache {
  /** The longest known prefix of `tokens`; it counts as used. Shares memory with what is kept. */
  find(tokens: readonly number[]): Prefix | null
  /** Keeps a prompt, in place of those that it begins with. */
  keep(prompt: KeptPrompt): void
  /** Forgets the least recently used prompt; false when there is none. */
  dropOldest(): boolean
  caches(): readonly KvView[]
}

export function createPrefixCache({ minTokens, maxPrompts }: PrefixLimits): PrefixCache {
  /** Least recently used first. */
  let prompts: KeptPrompt[] = []

  return {
    find(tokens) {
      let longest = 0
      let found: KeptPrompt | null = null
      for (const prompt of prompts) {
        const shared = sharedLength(prompt.tokens, tokens)
        if (shared < minTokens || shared <= longest) continue
        longest = shared
        found = prompt
      }
      if (found === null) return null
      prompts = [...prompts.filter((prompt) => prompt !== found), found]
      if (longest === tokens.length && longest === found.tokens.length) return found
      const cache = truncate(found.cache, Math.min(longest, tokens.length - 1))
      return cache && { cache, state: null }
    },
    keep(prompt) {
      if (prompt.tokens.length < minTokens) return
      const others = prompts.filter(({ tokens }) => sharedLength(tokens, prompt.tokens) < tokens.length)
      prompts = [...others, prompt]
      if (prompts.length > maxPrompts) prompts.shift()
    },
    dropOldest: () => prompts.shift() !== undefined,
    caches: () => prompts.map(({ cache }) => cache),
  }
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a[length] === b[length]) length += 1
  return length
}
