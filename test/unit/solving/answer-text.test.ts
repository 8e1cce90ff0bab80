/** @file The text of an answer while it is decoded: whole characters, thoughts apart, up to a stop sequence. */

import { expect, suite, test } from 'vitest'
import { createRandom } from '#tensor'
import { createPromptCodec } from '../../../src/engine/prompt-codec.ts'
import { splitThought } from '../../../src/engine/thinking.ts'
import {
  createAnswerText,
  cutAtStop,
  type TextPiece,
  withoutPart,
  writtenText,
} from '../../../src/solving/answer-text.ts'
import { byteLevelTokenizer, sentencePieceTokenizer } from '../../fixtures/text-tokenizers.ts'

/** One token per byte; 0 ends an answer. */
const bytes = {
  decode: (tokens: readonly number[]) => Buffer.from(tokens).toString(),
  splitThought: (text: string) => ({ reasoning: text, final: text }),
  thoughtEnd: null,
}
const TAGS = { open: '<think>', close: '</think>' }
const thinker = (isInside = false) => ({
  ...bytes,
  splitThought: (text: string) => splitThought(text, TAGS, isInside),
  thoughtEnd: [1],
})

function read(
  text: string,
  { codec = bytes, stop = [], size = 1 }: { codec?: object; stop?: string[]; size?: number } = {},
) {
  const pieces: TextPiece[] = []
  const rules = { codec: { ...bytes, ...codec }, eosTokenIds: [0], stop }
  const answer = createAnswerText(rules, (piece) => pieces.push(piece))
  const tokens = [...Buffer.from(text)]
  for (let from = 0; from < tokens.length; from += size) answer.add(tokens.slice(from, from + size))
  const beforeEnd = [...pieces]
  answer.end()
  const joined = (thought: boolean) =>
    pieces
      .filter((piece) => piece.thought === thought)
      .map((piece) => piece.text)
      .join('')
  return { answer, pieces, beforeEnd, text: joined(false), thought: joined(true), rules }
}

test('never splits a character, whatever the number of its bytes', () => {
  const { pieces, text } = read('a é 👍 日\n')
  expect(text).toBe('a é 👍 日\n')
  expect(pieces.map((piece) => piece.text)).toEqual(['a', ' ', 'é', ' ', '👍', ' ', '日', '\n'])
})

test('passes on bytes that are no character, once the next ones show it', () => {
  const pieces: TextPiece[] = []
  const answer = createAnswerText({ codec: bytes, eosTokenIds: [0], stop: [] }, (piece) => pieces.push(piece))
  answer.add([0xff, 0x41, 0x42])
  answer.end()
  expect(pieces.map((piece) => piece.text).join('')).toBe('\uFFFDAB')
})

test('a text that a limit cut loses the part of its last character', () => {
  expect(withoutPart('a\uFFFDb\uFFFD\uFFFD')).toBe('a\uFFFDb')
  expect(withoutPart('\uFFFD')).toBe('')
  expect(withoutPart('ab')).toBe('ab')
})

test('leaves the end token out, but counts it', () => {
  const { answer, text } = read('ab\0')
  expect(text).toBe('ab')
  expect(answer.length).toBe(3)
})

suite('a stop sequence', () => {
  test.each([1, 2, 3, 7, 100])('is found in runs of %d tokens, and nothing of it is emitted', (size) => {
    const { answer, text, rules } = read('one\n\nQ: two', { stop: ['Q:', '\n\n'], size })
    expect(text).toBe('one')
    expect(answer.stoppedAt).toBe(5)
    expect(cutAtStop('one\n\nQ: two', rules)).toBe('one')
  })

  test('that only begins is held back until it is another text, or the end', () => {
    const { text, beforeEnd, answer } = read('aEN bEN', { stop: ['END'] })
    expect(answer.stoppedAt).toBeNull()
    expect(beforeEnd.map((piece) => piece.text).join('')).toBe('aEN b')
    expect(text).toBe('aEN bEN')
  })

  test('in the thought of a model does not end its answer', () => {
    const { text, thought, answer } = read('<think>a. b</think>\n\nc. d', { codec: thinker(), stop: ['.'] })
    expect({ thought, text }).toEqual({ thought: 'a. b', text: 'c' })
    expect(answer.stoppedAt).toBe('<think>a. b</think>\n\nc.'.length)
  })
})

suite('the thought of a model', () => {
  test.each([1, 3, 50])('comes apart, without its tags, in runs of %d tokens', (size) => {
    const whole = '<think>\n1 < 2 so [a]\n</think>\n\nthe <b> answer'
    const codec = thinker()
    const { text, thought } = read(whole, { codec, size })
    expect({ thought, text }).toEqual({ thought: '1 < 2 so [a]', text: 'the <b> answer' })
    expect(writtenText(whole, codec)).toEqual({ thought, text })
  })

  test('may be opened by the prompt', () => {
    const { text, thought } = read('so\n</think>\nyes', { codec: thinker(true) })
    expect({ thought, text }).toEqual({ thought: 'so', text: 'yes' })
  })

  test('that was cut is no text', () => {
    const { text, thought } = read('<think>so', { codec: thinker() })
    expect({ thought, text }).toEqual({ thought: 'so', text: '' })
    expect(writtenText('<think>so', thinker())).toEqual({ thought: 'so', text: '' })
  })

  test('is null when the model did not think', () => {
    expect(writtenText(' yes', thinker())).toEqual({ thought: null, text: ' yes' })
    expect(read(' yes', { codec: thinker() })).toMatchObject({ text: ' yes', thought: '' })
  })
})

/** Texts with everything that makes the text of a token depend on others. */
const TEXTS = [
  "hello world, hello 12 . It 's n't so !\n\n  two  blanks\t",
  ' leading blank and trailing blank ',
  '👍🏽 日本語 é é ﬁ',
  '<think>hello 12</think>\n\nworld <|fim_prefix|> hello',
  '',
]

suite.each([
  ['byte-level BPE', byteLevelTokenizer()],
  ['SentencePiece with a blank in front', sentencePieceTokenizer({ prefix: true })],
  ['SentencePiece without', sentencePieceTokenizer({ prefix: false })],
])('the pieces of %s', (_, files) => {
  const codec = createPromptCodec(files)
  const piecesOf = (tokens: readonly number[]) => {
    let [text, thought] = ['', '']
    const answer = createAnswerText({ codec, eosTokenIds: [], stop: [] }, (piece) => {
      if (piece.thought) thought += piece.text
      else text += piece.text
    })
    for (const token of tokens) answer.add([token])
    answer.end()
    return { text, thought: thought === '' ? null : thought }
  }

  test.each(TEXTS)('add up to the whole text: %j', (text) => {
    const tokens = codec.encode(text)
    expect(piecesOf(tokens)).toEqual(writtenText(codec.decode(tokens), codec))
  })

  test('add up for 300 answers of random words', () => {
    const random = createRandom(5)
    const words = TEXTS.flatMap((text) => text.split(/(?<= )/)).filter((word) => !word.includes('<'))
    for (let round = 0; round < 300; round += 1) {
      const chosen = Array.from({ length: 12 }, () => words[Math.floor(random.uniform() * words.length)])
      const tokens = codec.encode(chosen.join(''))
      expect(piecesOf(tokens).text, chosen.join('')).toBe(codec.decode(tokens))
    }
  })
})
