/** @file What tokenizer and chat template say about tokens, on a real engine: which are never chosen, which end a turn. */

import { pino } from 'pino'
import { afterEach, expect, suite, test } from 'vitest'
import { describeDecoder } from '#decoder'
import { createEngine, type Engine, loadModelDirectory } from '#engine'
import { decodeModel, encodeModel, loadTensor, storeTensor } from '#onnx'
import { float32 } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import {
  TINY_WORDS,
  type TinyModelDirectory,
  tinyModelDirectory,
  tinyModelFiles,
} from '../../fixtures/tiny-model-directory.ts'

const never = new AbortController().signal
const PROMPT = [1, 4, 12, 5]

let model: TinyModelDirectory
let engine: Engine | undefined

afterEach(async () => {
  await engine?.close()
  engine = undefined
  await model[Symbol.asyncDispose]()
})

async function start(): Promise<Engine> {
  await engine?.close()
  engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    threads: 1,
    logger: pino({ level: 'silent' }),
  })
  return engine
}

async function decode(row: object = {}) {
  const session = await engine!.open(PROMPT, { signal: never })
  const rows = [{ prefix: [], temperature: 0, seed: 1, maxNewTokens: 16, latents: 4, ...row }]
  const [answer] = await session.generate(rows)
  session.close()
  return answer!
}

suite('a vocabulary padded beyond the tokenizer', () => {
  const PADDED = 80
  const isPad = (token: number) => token >= TINY_WORDS.length

  /** The tiny decoder whose logits of padded ids are the greatest everywhere: their bias is. */
  function graphWithGreatPads(options: TinyDecoderOptions): Uint8Array {
    const decoded = decodeModel(tinyDecoder({ vocabulary: PADDED, bias: true, ...options }).bytes)
    const { head } = describeDecoder(decoded)
    const [bias] = head.elementwise.flatMap((step) => (step.kind === 'add' ? [step.constant] : []))
    const stored = decoded.graph.initializers.get(bias!)!
    const numbers = Float32Array.from(loadTensor(stored).data as Float32Array)
    numbers.fill(50, TINY_WORDS.length)
    const initializers = new Map(decoded.graph.initializers).set(bias!, storeTensor(float32(numbers)))
    return encodeModel({ ...decoded, graph: { ...decoded.graph, initializers } })
  }

  test.each<[string, TinyDecoderOptions]>([
    ['dense', {}],
    ['quantised', { head: 'quantized' }],
    ['dense, GroupQueryAttention', { fused: true, width: 32 }],
  ])('never yields a padded id, whatever asks: %s head', async (_, options) => {
    model = await tinyModelDirectory({ vocabulary: PADDED, bias: true, ...options })
    await model.write('onnx/model.onnx', graphWithGreatPads(options))
    const { sizes, notes } = await loadModelDirectory(model.path)
    expect(sizes.unusedTokens).toEqual([[TINY_WORDS.length, PADDED]])
    expect(notes).toContain('16 of 80 token ids are not in the tokenizer: they are never chosen')
    const { head } = await start()
    const draft = await decode()
    const rows = [
      draft,
      await decode({ prefix: [40, 41] }),
      await decode({ temperature: 4, sampling: { topK: 0 } }),
      await decode({ temperature: 1, sampling: { repetitionPenalty: 0.2, topP: 0.5 } }),
    ]
    expect(rows.flatMap(({ tokens }) => tokens).filter(isPad)).toEqual([])
    const { latents } = draft
    expect(await head.decode(latents, never)).toEqual(draft.tokens.slice(0, latents.length))
    const rollouts = { rollouts: 8, temperature: 2, seed: 3 }
    expect((await head.sample(latents, rollouts, never)).flat().filter(isPad)).toEqual([])
    const zeros = () => new Float32Array(latents.data.length)
    const ascent = await head.ascend(
      {
        latents,
        adam: { m: zeros(), v: zeros(), step: 0 },
        actions: [draft.tokens.slice(0, latents.length)],
        advantages: [-1],
        lr: 0.5,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        temperature: 1,
        maxSteps: 6,
        untilChanged: false,
      },
      never,
    )
    expect(ascent.tokens.filter(isPad)).toEqual([])
    expect(ascent.tokens).not.toEqual(draft.tokens.slice(0, latents.length))
    expect(ascent.latents.data.every(Number.isFinite)).toBe(true)
  })

  test('a hole among the added tokens is masked too; the end of an answer is not', async () => {
    model = await tinyModelDirectory({ vocabulary: PADDED })
    const tokenizer = tinyModelFiles()['tokenizer.json'] as { added_tokens: object[] }
    const added = { ...tokenizer.added_tokens[0], id: 70, content: '<|extra|>' }
    await model.write('tokenizer.json', { ...tokenizer, added_tokens: [...tokenizer.added_tokens, added] })
    await model.write('generation_config.json', { eos_token_id: [2, 75] })
    const { sizes } = await loadModelDirectory(model.path)
    expect(sizes.unusedTokens).toEqual([
      [64, 70],
      [71, 75],
      [76, 80],
    ])
  })
})

test('a tokenizer with more tokens than the graph has logits is of another model', async () => {
  model = await tinyModelDirectory()
  const tokenizer = tinyModelFiles()['tokenizer.json'] as { model: { vocab: object }; added_tokens: object[] }
  const vocab = { ...tokenizer.model.vocab, w99: 64 }
  await model.write('tokenizer.json', { ...tokenizer, model: { ...tokenizer.model, vocab } })
  await expect(loadModelDirectory(model.path)).rejects.toMatchObject({
    code: 'MODEL_INVALID',
    message: expect.stringMatching(
      /ids below 64, .* in tokenizer.json, got 'w99' with the id 64; copy graph/,
    ),
  })
  // Added tokens may have no embedding: a text with one of them is read as other tokens.
  const added = { ...tokenizer.added_tokens[0], id: 64, content: '<|image|>' }
  await model.write('tokenizer.json', { ...tokenizer, added_tokens: [...tokenizer.added_tokens, added] })
  await expect(loadModelDirectory(model.path)).resolves.toMatchObject({ sizes: { unusedTokens: [] } })
})

suite('the end of a turn', () => {
  const PROMPT_PART = "{% for m in messages %}{{ '<|' + m['role'] + '|> ' + m['content'] }}"
  const REST = "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
  const turnsEndWith = (end: string) =>
    `${PROMPT_PART}{% if m['role'] == 'assistant' %}${end}{% endif %}${REST}`

  /** Sets the files that name the ends of answers; null removes one. */
  async function write(template: string, generation: object | null, config: object): Promise<void> {
    await model.write('chat_template.jinja', template)
    await model.write('generation_config.json', generation)
    const tokenizerConfig = tinyModelFiles()['tokenizer_config.json'] as object
    await model.write('tokenizer_config.json', { ...tokenizerConfig, ...config })
  }

  test.each<[string, string, object | null, object, number[]]>([
    ['generation_config.json has it', '<eos>', { eos_token_id: [2, 7] }, {}, [2, 7]],
    ['generation_config.json has another', '<unk>', { eos_token_id: 7 }, {}, [7, 3]],
    ['generation_config.json has none', '<unk>', {}, { eos_token: '<pad>' }, [2, 0, 3]],
    ['generation_config.json is missing', ' <unk>\n', null, { eos_token: '<pad>' }, [2, 0, 3]],
    ['the template ends turns with a text', ' w5 ', { eos_token_id: 7 }, {}, [7]],
    ['the template ends no turn', '', { eos_token_id: 7 }, {}, [7]],
    ['the template takes no answer', "{{ raise_exception('no') }}", { eos_token_id: 7 }, {}, [7]],
    [
      'the template ends earlier turns with another token than the last',
      '{% if loop.last and not add_generation_prompt %}<unk>{% else %}<pad>{% endif %}',
      { eos_token_id: 7 },
      {},
      [7, 3],
    ],
  ])('%s', async (_, end, generation, config, expected) => {
    model = await tinyModelDirectory()
    await write(turnsEndWith(end), generation, config)
    const { sizes, notes } = await loadModelDirectory(model.path)
    expect(sizes.eosTokenIds).toEqual(expected)
    const isNoted = notes.some((note) => note.startsWith('answers also end at the token'))
    expect(isNoted).toBe(expected.some((id) => id !== 2 && id !== 7))
  })

  test('is where the model stops, though only the template names it', async () => {
    model = await tinyModelDirectory()
    await model.write('generation_config.json', null)
    await start()
    const { tokens } = await decode()
    const end = tokens.findIndex((token, at) => at >= 2 && token > 5 && tokens.indexOf(token) === at)
    expect(end).toBeGreaterThan(0)
    const word = TINY_WORDS[tokens[end]!]!
    const tokenizer = tinyModelFiles()['tokenizer.json'] as { added_tokens: object[] }
    const added = { ...tokenizer.added_tokens[0], id: tokens[end], content: word }
    await model.write('tokenizer.json', { ...tokenizer, added_tokens: [...tokenizer.added_tokens, added] })
    await model.write('chat_template.jinja', turnsEndWith(word))
    await start()
    expect(await decode()).toMatchObject({ tokens: tokens.slice(0, end + 1), finish: 'eos' })
  })
})
