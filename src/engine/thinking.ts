/** @file Tells the thought of a model from its answer. */

import type { SplitText } from './types.ts'

/** Texts between which a model thinks. */
export interface ThinkingTags {
  readonly open: string
  readonly close: string
}

/** Pairs that published models use. */
const KNOWN_TAGS = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<seed:think>', '</seed:think>'],
  ['[THINK]', '[/THINK]'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
] as const

/**
 * Returns the tags of a model: the first known pair that the tokenizer has as added tokens or the chat
 * template writes; null when there is none.
 */
export function findThinkingTags(addedTokens: readonly string[], chatTemplate: string): ThinkingTags | null {
  const isKnown = (tag: string) => addedTokens.includes(tag) || chatTemplate.includes(tag)
  const pair = KNOWN_TAGS.find(([open, close]) => isKnown(open) && isKnown(close))
  return pair === undefined ? null : { open: pair[0], close: pair[1] }
}

/**
 * Whether a text begins inside a thought after `prompt`: the prompt's last opening tag is at its end, or its
 * `prefill`, the beginning of the model's turn, opens a thought and does not close it.
 */
export function endsInThought(tags: ThinkingTags, prompt: string, prefill: string): boolean {
  const [opened, closed] = [prefill.lastIndexOf(tags.open), prefill.lastIndexOf(tags.close)]
  return opened === closed ? prompt.trimEnd().endsWith(tags.open) : opened > closed
}

/**
 * Splits the text of a model. The answer stands after the thought with which the text begins, or after several that
 * follow each other; tags that it mentions belong to it. A thought that was cut off has no answer, even when it
 * contains one.
 *
 * @param isInside whether the text begins inside a thought
 */
export function splitThought(text: string, tags: ThinkingTags | null, isInside: boolean): SplitText {
  if (tags === null) return { reasoning: text, final: text }
  const { open, close } = tags
  const thoughts: string[] = []
  let final = text
  let isOpened = isInside || text.includes(open) || text.includes(close)
  while (isOpened) {
    const end = final.indexOf(close)
    thoughts.push((end === -1 ? final : final.slice(0, end)).replace(open, '').trim())
    if (end === -1) return { reasoning: thoughts.join('\n\n'), final: null }
    final = final.slice(end + close.length)
    isOpened = final.trimStart().startsWith(open)
  }
  return thoughts.length === 0
    ? { reasoning: text, final: text }
    : { reasoning: thoughts.join('\n\n'), final }
}
