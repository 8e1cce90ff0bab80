/**
 * @file Bounded list of earlier prompts with their keys and values, least recently used first. A new prompt
 * that begins like one of them is fed from where the two differ.
 */

import type { TokenSpan } from '#ports'
import { type KvView, truncate } from './key-values.ts'

export interface PrefixLimits {
  /** Length below which a shared prefix is fed again. */
  readonly minTokens: number
  readonly maxPrompts: number
}

/** Sum of the layer states of some tokens of a prompt. */
export interface PooledStates extends TokenSpan {
  /** `[L+1, D]`. */
  readonly sum: Float32Array
}

interface KeptPrompt {
  readonly tokens: readonly number[]
  /** How a depth-recurrent model thought it: prompts of different thinking share nothing. The same for all of others. */
  readonly thinking?: string
  /** Covers all of `tokens`. */
  readonly cache: KvView
  /** State of the last token, `[D]`. */
  readonly state: Float32Array
  /** null: the states were not pooled. */
  readonly pooled: PooledStates | null
}

interface Prefix {
  readonly cache: KvView
  /**
   * State of the last token when the whole prompt is known; else null, and at least the last token must be
   * fed.
   */
  readonly state: Float32Array | null
  /** Pooled states when the whole prompt is known and they were pooled; else null. */
  readonly pooled: PooledStates | null
}

export interface PrefixCache {
  /**
   * Returns the longest known prefix of `tokens` and marks it as used. The result shares memory with the kept
   * prompt.
   */
  find(tokens: readonly number[], thinking?: string): Prefix | null
  /** Keeps a prompt and drops the kept prompts that it begins with. */
  keep(prompt: KeptPrompt): void
  /** Drops the least recently used prompt; returns false when there is none. */
  dropOldest(): boolean
  caches(): readonly KvView[]
}

export function createPrefixCache({ minTokens, maxPrompts }: PrefixLimits): PrefixCache {
  /** Least recently used first. */
  let prompts: KeptPrompt[] = []

  return {
    find(tokens, thinking = '') {
      let longest = 0
      let found: KeptPrompt | null = null
      for (const prompt of prompts.filter((each) => (each.thinking ?? '') === thinking)) {
        const shared = sharedLength(prompt.tokens, tokens)
        if (shared < minTokens || shared <= longest) continue
        longest = shared
        found = prompt
      }
      if (found === null) return null
      prompts = [...prompts.filter((prompt) => prompt !== found), found]
      if (longest === tokens.length && longest === found.tokens.length) return found
      const cache = truncate(found.cache, Math.min(longest, tokens.length - 1))
      return cache && { cache, state: null, pooled: null }
    },
    keep(prompt) {
      if (prompt.tokens.length < minTokens) return
      const others = prompts.filter(
        ({ tokens, thinking }) =>
          thinking !== prompt.thinking || sharedLength(tokens, prompt.tokens) < tokens.length,
      )
      prompts = [...others, prompt]
      if (prompts.length > maxPrompts) prompts.shift()
    },
    dropOldest: () => prompts.shift() !== undefined,
    caches: () => prompts.map(({ cache }) => cache),
  }
}

/** Returns the number of tokens with which both lists begin. */
export function sharedLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a[length] === b[length]) length += 1
  return length
}
