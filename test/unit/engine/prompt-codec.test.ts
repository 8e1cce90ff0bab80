import { readFile } from 'node:fs/promises'
import { expect, suite, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { createPromptCodec } from '../../../src/engine/prompt-codec.ts'
import { TINY_WORDS, tinyModelFiles } from '../../fixtures/tiny-model-directory.ts'

function tinyCodec(change: { tokenizer?: object; config?: object; chatTemplate?: string } = {}) {
  const files = tinyModelFiles()
  const config = { ...(files['tokenizer_config.json'] as Record<string, unknown>), ...change.config }
  return createPromptCodec({
    tokenizer: { ...(files['tokenizer.json'] as object), ...change.tokenizer },
    config,
    chatTemplate: change.chatTemplate ?? (config['chat_template'] as string),
  })
}

const words = (tokens: readonly number[]) => tokens.map((token) => TINY_WORDS[token]).join(' ')

suite('a prompt codec', () => {
  test('renders the chat template with one BOS, although the tokenizer would add another', () => {
    const tokens = tinyCodec().encodeChat([{ role: 'user', content: 'w1 w2' }])
    expect(words(tokens)).toBe('<bos> <|user|> w1 w2 <|assistant|>')
  })

  test('renders earlier turns and ends with the generation prompt', () => {
    const tokens = tinyCodec().encodeChat([
      { role: 'user', content: 'w1' },
      { role: 'assistant', content: 'w2' },
      { role: 'user', content: 'w3' },
    ])
    expect(words(tokens)).toBe('<bos> <|user|> w1 <|assistant|> w2 <eos> <|user|> w3 <|assistant|>')
  })

  test('encodes text as it stands, without special tokens', () => {
    expect(words(tinyCodec().encode(' check true'))).toBe('check true')
    expect(tinyCodec().encode('')).toEqual([])
  })

  test('decodes without special tokens, unknown words as <unk>', () => {
    const codec = tinyCodec()
    expect(codec.decode([1, 4, 11, 12, 2, 0, 0])).toBe('w1 w2')
    expect(codec.decode([])).toBe('')
    expect(words(codec.encode('w1 nonsense'))).toBe('w1 <unk>')
  })

  test('keeps the space before a full stop unless the configuration asks for clean-up', () => {
    const vocab = Object.fromEntries([...TINY_WORDS.slice(0, -1), '.'].map((word, id) => [word, id]))
    const tokenizer = { model: { type: 'WordLevel', unk_token: '<unk>', vocab } }
    expect(tinyCodec({ tokenizer }).decode([11, 63])).toBe('w1 .')
    const config = { clean_up_tokenization_spaces: true }
    expect(tinyCodec({ tokenizer, config }).decode([11, 63])).toBe('w1.')
  })

  test('gives templates the special tokens, as strings', () => {
    const codec = tinyCodec({ chatTemplate: '{{ eos_token }} {{ pad_token }} {{ bos_token }}' })
    expect(words(codec.encodeChat([]))).toBe('<eos> <pad> <bos>')
  })
})

suite("the bundled model's codec", () => {
  // The expected tokens were written by transformers from the same directory.
  test('gives the tokens that transformers gives', async () => {
    const golden = JSON.parse(await readFile('test/fixtures/golden/order-of-operations.json', 'utf8'))
    const { codec } = await loadModelDirectory('models/order-of-operations')
    expect(golden.prompts.length).toBeGreaterThan(0)
    for (const prompt of golden.prompts) {
      expect(codec.encodeChat([{ role: 'user', content: prompt.question }])).toEqual(prompt.inputIds)
    }
  })
})
