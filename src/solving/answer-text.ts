/** @file Text of an answer while it is decoded: whole characters only, thought and text apart, up to a stop sequence. */

import type { PromptCodec } from '#engine'

type TextCodec = Pick<PromptCodec, 'decode' | 'splitThought' | 'thoughtEnd'>

/** Texts that end an answer, and the codec by which the answer is read. */
export interface StopRules {
  readonly codec: TextCodec
  readonly eosTokenIds: readonly number[]
  /** Texts before the first of which an answer ends. The thought of a model that thinks is not searched. */
  readonly stop: readonly string[]
}

/** Text that a model wrote, without the tags of its thought. */
export interface WrittenText {
  /** null: the model did not think. */
  readonly thought: string | null
  /** Empty when the thought was cut off. */
  readonly text: string
}

/** Piece of the text of an answer that was just decoded. */
export interface TextPiece {
  readonly text: string
  /** Whether the piece belongs to the thought of a model that thinks before it answers. */
  readonly thought: boolean
}

export interface AnswerText {
  /** Number of tokens so far. */
  readonly length: number
  /** Number of tokens up to the end of the first stop sequence; null while there is none. */
  readonly stoppedAt: number | null
  /** Adds the next tokens of the answer. @returns whether it goes on: false after a stop sequence */
  add(tokens: readonly number[]): boolean
  /** Emits what is still held back: nothing follows. */
  end(): void
}

/** Splits the text of an answer. White space between a thought and the text after it belongs to neither. */
export function writtenText(text: string, codec: Pick<PromptCodec, 'splitThought'>): WrittenText {
  const { reasoning, final } = codec.splitThought(text)
  if (final === null) return { thought: reasoning, text: '' }
  return final.length === text.length
    ? { thought: null, text }
    : { thought: reasoning, text: final.trimStart() }
}

/** Returns a text up to its first stop sequence outside the thought. */
export function cutAtStop(text: string, { codec, stop }: Pick<StopRules, 'codec' | 'stop'>): string {
  if (stop.length === 0) return text
  const { final } = codec.splitThought(text)
  const place = final === null ? -1 : firstPlace(final, stop)
  return place === -1 ? text : text.slice(0, text.length - final!.length + place)
}

/**
 * Reads an answer as its tokens are decoded.
 *
 * @param emit receives each piece of the text once it cannot change any more: the bytes of a character, the beginning of a
 *   stop sequence and the tags of a thought are held back.
 */
export function createAnswerText(rules: StopRules, emit?: (piece: TextPiece) => void): AnswerText {
  const { codec, eosTokenIds, stop } = rules
  const characters = createDetokenizer(codec)
  let length = 0
  let text = ''
  let stoppedAt: number | null = null
  const sent = { thought: 0, text: 0 }

  function send(kind: 'thought' | 'text', whole: string): void {
    const piece = whole.slice(sent[kind])
    if (piece === '') return
    sent[kind] += piece.length
    emit?.({ text: piece, thought: kind === 'thought' })
  }

  function sendUpTo(end: number): void {
    if (emit === undefined) return
    const stable = cutAtStop(text.slice(0, end), rules)
    const written = writtenText(stable, codec)
    if (written.thought !== null) send('thought', written.thought)
    send('text', written.text)
  }

  return {
    get length() {
      return length
    },
    get stoppedAt() {
      return stoppedAt
    },
    add(tokens) {
      for (const token of tokens) {
        length += 1
        if (stoppedAt !== null || eosTokenIds.includes(token)) continue
        const from = text.length
        text += characters.add(token)
        // Most tokens end no sequence: the whole text is read only where one does.
        const isSequence = stop.some((sequence) => text.includes(sequence, from - sequence.length + 1))
        if (isSequence && cutAtStop(text, rules) !== text) stoppedAt = length
      }
      sendUpTo(stoppedAt === null ? text.length - heldBack(text, rules) : text.length)
      return stoppedAt === null
    },
    end: () => sendUpTo(text.length),
  }
}

/** Upper bound on the characters of the tags of a thought. */
const MAX_TAG = 24

/** Number of characters at the end of a text that may be the beginning of a stop sequence or of a tag. */
function heldBack(text: string, { codec, stop }: StopRules): number {
  const stops = stop.map((sequence) => overlap(text, sequence))
  if (codec.thoughtEnd === null) return Math.max(0, ...stops)
  return Math.max(openTag(text.slice(-MAX_TAG)), ...stops)
}

/** Number of characters from the last bracket on, which may be the beginning of a tag; 0 when nothing is. */
function openTag(end: string): number {
  const start = Math.max(end.lastIndexOf('<'), end.lastIndexOf('['))
  return start === -1 || /[>\]\s]/.test(end.slice(start)) ? 0 : end.length - start
}

/** Length of the longest end of `text` that `sequence` begins with. */
function overlap(text: string, sequence: string): number {
  for (let size = Math.min(text.length, sequence.length - 1); size > 0; size--) {
    if (text.endsWith(sequence.slice(0, size))) return size
  }
  return 0
}

function firstPlace(text: string, stop: readonly string[]): number {
  const places = stop.map((sequence) => text.indexOf(sequence)).filter((place) => place !== -1)
  return places.length === 0 ? -1 : Math.min(...places)
}

const REPLACEMENT = '\uFFFD'

/** Returns a text without the part of a character at its end. */
export function withoutPart(text: string): string {
  let end = text.length
  while (text[end - 1] === REPLACEMENT) end -= 1
  return text.slice(0, end)
}

/**
 * Creates a decoder of one token after the other. A token may hold a part of a character, and the text of a token depends on
 * the one before it, so each is decoded behind the tokens of the piece before.
 */
function createDetokenizer({ decode }: Pick<PromptCodec, 'decode'>) {
  /** Tokens of the piece before, then those that have no text yet. */
  let context: number[] = []
  let waiting: number[] = []
  return {
    /** Returns the text that is now certain; empty while a character is incomplete. */
    add(token: number): string {
      waiting.push(token)
      const before = decode(context)
      const after = decode([...context, ...waiting])
      const isIncomplete = after.endsWith(REPLACEMENT) && waiting.length < MAX_WAITING_TOKENS
      if (isIncomplete || after.length <= before.length) return ''
      context = waiting
      waiting = []
      return after.slice(before.length)
    },
  }
}

/**
 * Tokens after which an incomplete character is what the model wrote. A character has up to four; a token in front of it may
 * have no text of its own, such as the blank of SentencePiece.
 */
const MAX_WAITING_TOKENS = 8
