import { copyFile, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, expect, suite, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { decodeModel, encodeModel } from '#onnx'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import {
  TINY_WORDS,
  type TinyModelDirectory,
  tinyModelDirectory,
  tinyModelFiles,
} from '../../fixtures/tiny-model-directory.ts'

let model: TinyModelDirectory
let outside: string

beforeEach(async () => {
  model = await tinyModelDirectory()
  outside = await mkdtemp(join(tmpdir(), 'circadian-outside-'))
})

afterEach(async () => {
  await model[Symbol.asyncDispose]()
  await rm(outside, { recursive: true })
})

const QUESTION = "{{ messages[-1]['content'] }}"
const TURNS = "{% for message in messages %}{{ '<|user|> ' + message['content'] }}{% endfor %}"
const CONTENTS = "{% for message in messages %}{{ ' ' + message['content'] }}{% endfor %}"
const NO_SYSTEM = `{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}${TURNS}`
const ALTERNATING = `{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% endfor %}${TURNS}`
const ONE_TURN = `{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}${TURNS}`

/** The message of the MODEL_INVALID that loading must throw. */
async function faultOf(directory = model.path): Promise<string> {
  const error = await loadModelDirectory(directory).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ name: 'ServiceError', code: 'MODEL_INVALID' })
  return (error as Error).message
}

/** The profile with one change. */
function profile(change: (profile: Record<string, never>) => void): unknown {
  const copy = structuredClone(tinyModelFiles()['circadian.json']) as Record<string, never>
  change(copy)
  return copy
}

/** The profile with other fields in one of its objects. */
function profileWith(part: 'solver' | 'judge', fields: object): unknown {
  const files = structuredClone(tinyModelFiles()['circadian.json']) as Record<string, object>
  return { ...files, [part]: { ...files[part], ...fields } }
}

const JUDGE = (tinyModelFiles()['circadian.json'] as { judge: { criteria: object[] } }).judge

/** Writes a profile with other fields. */
function changeProfile(change: object): (model: TinyModelDirectory) => Promise<void> {
  return (model) =>
    model.write(
      'circadian.json',
      profile((p) => Object.assign(p, change)),
    )
}

function tokenizerWith(fields: object): object {
  return { ...(tinyModelFiles()['tokenizer.json'] as object), ...fields }
}

const BOX = '\\boxed{}'

/** Writes a tokenizer of the tiny words and others. */
async function writeWords(words: Readonly<Record<string, number>>): Promise<void> {
  const vocab = { ...Object.fromEntries(TINY_WORDS.map((word, id) => [word, id])), ...words }
  await model.write(
    'tokenizer.json',
    tokenizerWith({ model: { type: 'WordLevel', unk_token: '<unk>', vocab } }),
  )
}

/** The tiny decoder with one weight moved to external data at `location`. */
function graphWithExternalData(location: string, place: Record<string, string> = {}): Uint8Array {
  const decoded = decodeModel(tinyDecoder({ vocabulary: TINY_WORDS.length }).bytes)
  const initializers = new Map(decoded.graph.initializers)
  const [name, stored] = [...initializers].find(([, tensor]) => tensor.dims.length === 2)!
  initializers.set(name, {
    ...stored,
    bytes: new Uint8Array(),
    external: new Map([
      ['location', location],
      ['offset', '0'],
      ['length', String(stored.bytes.length)],
      ...Object.entries(place),
    ]),
  })
  return encodeModel({ ...decoded, graph: { ...decoded.graph, initializers } })
}

/** Copies a model into the layout of the hub's cache; returns its snapshot, which holds links only. */
async function hubCache(from: string, cache: string): Promise<string> {
  const snapshot = join(cache, 'snapshots/4f3d')
  await mkdir(join(cache, 'blobs'), { recursive: true })
  for (const name of await readdir(from, { recursive: true })) {
    if (!(await stat(join(from, name))).isFile()) continue
    const blob = join(cache, 'blobs', name.replaceAll('/', '+'))
    await copyFile(join(from, name), blob)
    await mkdir(dirname(join(snapshot, name)), { recursive: true })
    await symlink(relative(dirname(join(snapshot, name)), blob), join(snapshot, name))
  }
  return snapshot
}

suite('loadModelDirectory()', () => {
  test('reads sizes, profile with defaults, and embedding mean', async () => {
    const { info, sizes, graphFile } = await loadModelDirectory(model.path)
    expect(sizes).toEqual({
      hiddenSize: 16,
      vocabularySize: 64,
      contextLength: 96,
      eosTokenIds: [2],
      padTokenId: 0,
      unusedTokens: [],
    })
    expect(info.profile.defaults).toMatchObject({ latents: 3, maxNewTokens: 24, rho: 0.1, samples: 8 })
    expect(info.profile.solver.template).toBe('{question}')
    expect(info.embeddingMean).toEqual(new Float32Array(16).fill(0.25))
    expect(info.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    expect(graphFile).toBe(join(model.path, 'onnx/model.onnx'))
  })

  test('loads the bundled model', async () => {
    const { info, sizes } = await loadModelDirectory('models/order-of-operations')
    expect(info.id).toBe('order-of-operations')
    expect(info.embeddingMean).toHaveLength(sizes.hiddenSize)
  })

  test('takes end-of-sequence ids from generation_config.json first, a number or a list', async () => {
    await model.write('generation_config.json', { eos_token_id: 7 })
    // The chat template ends answers with <eos>.
    expect((await loadModelDirectory(model.path)).sizes.eosTokenIds).toEqual([7, 2])
    await model.write('generation_config.json', { eos_token_id: [7, 2] })
    expect((await loadModelDirectory(model.path)).sizes.eosTokenIds).toEqual([7, 2])
    await model.write('generation_config.json', null)
    expect((await loadModelDirectory(model.path)).sizes).toMatchObject({ eosTokenIds: [2], padTokenId: 2 })
  })

  suite('special tokens that only the files of older versions of transformers name', () => {
    const template = "{{ bos_token }} {{ messages[0]['content'] }} {{ pad_token }}"
    const config = (over: object) => ({ chat_template: template, unk_token: '<unk>', ...over })
    const load = async () => {
      await model.write('generation_config.json', null)
      await model.write('config.json', { max_position_embeddings: 96 })
      const { sizes, codec } = await loadModelDirectory(model.path)
      const [bos, , pad] = codec.encodeChat([{ role: 'user', content: 'w1' }])
      return { eos: sizes.eosTokenIds, bos, pad }
    }

    test('are those of special_tokens_map.json', async () => {
      const map = { bos_token: '<bos>', eos_token: { content: '<eos>', lstrip: false }, pad_token: '<pad>' }
      await model.write('special_tokens_map.json', map)
      await model.write('tokenizer_config.json', config({ eos_token: 'w1' }))
      expect(await load()).toEqual({ eos: [2], bos: 1, pad: 0 })
    })

    test('are not read beside added_tokens_decoder', async () => {
      await model.write('special_tokens_map.json', { eos_token: 'w1' })
      const tokens = { bos_token: '<bos>', eos_token: '<eos>', pad_token: '<pad>' }
      await model.write('tokenizer_config.json', config({ ...tokens, added_tokens_decoder: {} }))
      expect(await load()).toEqual({ eos: [2], bos: 1, pad: 0 })
    })

    test('are added by added_tokens.json, as special ones when they have a name', async () => {
      const vocab = Object.fromEntries(TINY_WORDS.slice(0, 62).map((word, id) => [word, id]))
      const words = { type: 'WordLevel', unk_token: '<unk>', vocab }
      await model.write('tokenizer.json', tokenizerWith({ model: words }))
      await model.write('added_tokens.json', { '<pad>': 40, '<|end|>': 62, '<|tool|>': 63 })
      await model.write('special_tokens_map.json', {
        ...{ bos_token: '<bos>', eos_token: '<|end|>', additional_special_tokens: [{ content: '<|tool|>' }] },
      })
      await model.write('tokenizer_config.json', config({}))
      expect((await load()).eos).toEqual([62])
      const { codec } = await loadModelDirectory(model.path)
      expect(codec.encode('w1 <|end|> <|tool|>')).toEqual([11, 62, 63])
      expect(codec.decode([11, 62, 63])).toBe('w1')
      expect(codec.encode(codec.quote('<|end|>'))).not.toContain(62)
      // As in transformers, tokenizer.json prevails.
      expect(codec.encode('<pad>')).toEqual([0])
    })

    test('are refused with another id', async () => {
      await model.write('added_tokens.json', { '<|end|>': 4 })
      expect(await faultOf()).toMatch(/<\|end\|>.*added_tokens.json.*id 4.*'<\|user\|>' with that id/)
      await model.write('added_tokens.json', '[]')
      expect(await faultOf()).toMatch(/added_tokens.json to hold a JSON object/)
    })
  })

  test('takes the sampling of generation_config.json, field by field after that of the profile', async () => {
    const recommended = { do_sample: false, temperature: 0.7, top_k: 20, top_p: 0.8, repetition_penalty: 1.1 }
    const before = await loadModelDirectory(model.path)
    expect(before.info.profile.defaults.sampling).toEqual({})
    await model.write('generation_config.json', { eos_token_id: 2, ...recommended, min_p: null })
    const { info, notes } = await loadModelDirectory(model.path)
    const expected = { temperature: 0.7, topK: 20, topP: 0.8, repetitionPenalty: 1.1 }
    expect(info.profile.defaults.sampling).toEqual(expected)
    expect(notes).toEqual([
      `majority and lto sample as generation_config.json recommends: ${JSON.stringify(expected)}`,
    ])
    // Sampling changes neither the meaning of latents nor that of a reward.
    expect(info.fingerprint).toBe(before.info.fingerprint)
    expect(info.judgeFingerprint).toBe(before.info.judgeFingerprint)
    await changeProfile({ defaults: { sampling: { temperature: 1, minP: 0.1 } } })(model)
    const own = (await loadModelDirectory(model.path)).info.profile.defaults.sampling
    expect(own).toEqual({ ...expected, temperature: 1, minP: 0.1 })
  })

  test('takes the sampling of generation_config.json without a profile', async () => {
    await writeWords({ [BOX]: 63 })
    await model.write('circadian.json', null)
    await model.write('generation_config.json', { eos_token_id: 2, top_k: 50 })
    const sampling = async () => (await loadModelDirectory(model.path)).info.profile.defaults.sampling
    expect(await sampling()).toEqual({ temperature: 0.7, topK: 50 })
    await model.write('generation_config.json', { eos_token_id: 2, temperature: 0.9 })
    expect(await sampling()).toEqual({ temperature: 0.9 })
  })

  test('reduces a greater top_k, and ignores sampling that is out of bounds', async () => {
    await model.write('generation_config.json', {
      ...{ eos_token_id: 2, temperature: 0, top_k: 1000, top_p: '0.9', min_p: 0.05, repetition_penalty: -1 },
    })
    const { info, notes } = await loadModelDirectory(model.path)
    expect(info.profile.defaults.sampling).toEqual({ topK: 128, minP: 0.05 })
    expect(notes).toEqual([
      'generation_config.json: temperature 0 is ignored, out of bounds',
      'generation_config.json: top_k 1000 is reduced to 128',
      'generation_config.json: top_p "0.9" is ignored, out of bounds',
      'generation_config.json: repetition_penalty -1 is ignored, out of bounds',
      'majority and lto sample as generation_config.json recommends: {"topK":128,"minP":0.05}',
    ])
  })

  test.each([
    ['temperature', 0, '/defaults/sampling/temperature'],
    ['topK', 129, '/defaults/sampling/topK'],
    ['topP', 0, '/defaults/sampling/topP'],
    ['minP', 1.1, '/defaults/sampling/minP'],
    ['repetitionPenalty', 0, '/defaults/sampling/repetitionPenalty'],
    ['typicalP', 0.5, '/defaults/sampling/typicalP'],
  ])('refuses a profile with %s %d', async (name, number, pointer) => {
    await changeProfile({ defaults: { sampling: { [name]: number } } })(model)
    expect(await faultOf()).toContain(pointer)
  })

  test('names the field of earlier profiles that is gone', async () => {
    await changeProfile({ defaults: { temperature: 1 } })(model)
    expect(await faultOf()).toContain('/defaults/temperature is not a field of the profile')
  })

  test('prefers chat_template.jinja to the template of tokenizer_config.json', async () => {
    await model.write('chat_template.jinja', `<bos> w1${CONTENTS}`)
    const { codec } = await loadModelDirectory(model.path)
    expect(codec.encodeChat([{ role: 'user', content: 'w2' }])).toEqual([1, 11, 12])
  })

  test('reads files of Windows: byte order marks and line breaks change nothing', async () => {
    const template = `{% if true %}\n{{ '<bos> w1' }}\nw2${CONTENTS}{% endif %}`
    await model.write('chat_template.jinja', template)
    const before = await loadModelDirectory(model.path)
    const ofWindows = (text: string) => `\uFEFF${text.replaceAll('\n', '\r\n')}`
    await model.write('chat_template.jinja', ofWindows(template))
    for (const name of [
      'tokenizer.json',
      'tokenizer_config.json',
      'generation_config.json',
      'circadian.json',
    ]) {
      await model.write(name, ofWindows(JSON.stringify(tinyModelFiles()[name], null, 2)))
    }
    const after = await loadModelDirectory(model.path)
    expect(after.codec.renderChat([])).toBe(before.codec.renderChat([]))
    expect(after.info).toEqual(before.info)
  })

  test('takes the template named default of several', async () => {
    const config = tinyModelFiles()['tokenizer_config.json'] as object
    const chat_template = [
      { name: 'tool_use', template: `w1${CONTENTS}` },
      { name: 'default', template: `w2${CONTENTS}` },
    ]
    await model.write('tokenizer_config.json', { ...config, chat_template })
    const { codec } = await loadModelDirectory(model.path)
    expect(codec.encodeChat([{ role: 'user', content: '' }])).toEqual([12])
  })

  test('takes the template of chat_template.json before that of tokenizer_config.json', async () => {
    await model.write('chat_template.json', { chat_template: `<bos> w1 ${QUESTION}` })
    const { codec } = await loadModelDirectory(model.path)
    expect(codec.encodeChat([{ role: 'user', content: 'w2' }])).toEqual([1, 11, 12])
    await model.write('chat_template.jinja', `<bos> w2 ${QUESTION}`)
    const preferred = (await loadModelDirectory(model.path)).codec
    expect(preferred.encodeChat([{ role: 'user', content: 'w2' }])).toEqual([1, 12, 12])
  })

  test.each([
    ['a template without system turns', NO_SYSTEM],
    ['a template of alternating turns', ALTERNATING],
  ])('puts the system text into the user turn with %s', async (_, template) => {
    await model.write('chat_template.jinja', template)
    await model.write('circadian.json', profileWith('solver', { system: 'w1' }))
    const { codec } = await loadModelDirectory(model.path)
    const turns = [
      { role: 'system' as const, content: 'w1' },
      { role: 'user' as const, content: 'w2' },
    ]
    expect(codec.encodeChat(turns).map((token) => TINY_WORDS[token])).toEqual(['<|user|>', 'w1', 'w2'])
  })

  test('renders with the variables and the date of the profile', async () => {
    await model.write('chat_template.jinja', `{{ effort + ' ' + strftime_now('w%d') }}${CONTENTS}`)
    const template = { variables: { effort: 'w1' }, date: '2026-01-12' }
    await model.write(
      'circadian.json',
      profile((p) => Object.assign(p, { template })),
    )
    const { codec } = await loadModelDirectory(model.path)
    const tokens = codec.encodeChat([{ role: 'user', content: 'w2' }])
    expect(tokens.map((token) => TINY_WORDS[token])).toEqual(['w1', 'w12', 'w2'])
  })

  suite('without circadian.json', () => {
    beforeEach(async () => {
      await model.write('circadian.json', null)
      await writeWords({ [BOX]: 63 })
    })

    test('serves on a default profile, with a warning', async () => {
      const { info, warning } = await loadModelDirectory(model.path)
      expect(info.profile).toMatchObject({
        template: { variables: {} },
        judge: { mode: 'turn', verdict: 'logit', criteria: [{ true: ['true'], false: ['false'] }] },
        answer: { kind: 'boxed', compare: 'maths' },
        embedding: { mean: null },
        // Never passed: the judge is not calibrated.
        defaults: { stopReward: 0, minSimilarity: 0.98 },
      })
      expect(warning).toMatch(
        /no circadian\.json .* judges with true and false, no verdict ends a search; write/,
      )
    })

    test('has the fingerprints of a profile with the same content', async () => {
      const before = await loadModelDirectory(model.path)
      await model.write('circadian.json', before.info.profile)
      const after = await loadModelDirectory(model.path)
      expect(after.warning).toBeNull()
      expect(after.info).toEqual(before.info)
    })

    test('takes the first words that are one token each', async () => {
      await writeWords({ Yes: 60, True: 61, False: 62, [BOX]: 63 })
      const { info } = await loadModelDirectory(model.path)
      expect(info.profile.judge.criteria[0]).toMatchObject({ true: ['True'], false: ['False'] })
      expect(info.profile.judge.criteria[0]!.prompt).toContain('True or False')
    })

    test('switches thinking off where the template can', async () => {
      await model.write('chat_template.jinja', `{% if enable_thinking is true %}w1{% endif %}${TURNS}`)
      const { info, warning } = await loadModelDirectory(model.path)
      expect(info.profile.template.variables).toEqual({ enable_thinking: false })
      expect(warning).toContain('thinking is switched off')
    })

    test('bounds the thoughts of a model that always thinks, and its judge does not think', async () => {
      await writeWords({ '<think>': 60, '</think>': 61, [BOX]: 63 })
      await model.write('chat_template.jinja', `${TURNS}{{ ' <|assistant|> <think> ' }}{# </think> #}`)
      const { info, codec, warning } = await loadModelDirectory(model.path)
      expect(info.profile.defaults).toMatchObject({ maxThoughtTokens: 768, maxNewTokens: 1024 })
      expect(warning).toContain('thoughts are closed after 768 tokens, and the judge does not think')
      const asked = codec.encodeChat([{ role: 'user', content: 'w1' }], info.profile.judge.prefill)
      expect(asked.slice(-3)).toEqual([5, 60, 61])
    })

    test('is refused when the tokenizer cannot write an answer: every answer would be null', async () => {
      await writeWords({})
      expect(await faultOf()).toContain('expected circadian.json, or a tokenizer that can write \\boxed{}')
    })

    test('is refused when the tokenizer has no verdict words', async () => {
      const vocab = Object.fromEntries([...TINY_WORDS.slice(0, 6), BOX].map((word, id) => [word, id]))
      const wordLevel = { type: 'WordLevel', unk_token: '<unk>', vocab }
      await model.write('tokenizer.json', tokenizerWith({ model: wordLevel }))
      expect(await faultOf()).toMatch(
        /expected circadian\.json, or a tokenizer with one token each for Yes and No/,
      )
    })
  })

  test('finds a graph by another known name, and the only one of an unknown name', async () => {
    await model.write('onnx/model_q4.onnx', tinyDecoder({ vocabulary: 64 }).bytes)
    await model.write('onnx/model.onnx', null)
    expect((await loadModelDirectory(model.path)).graphFile).toMatch(/model_q4\.onnx$/)
    await model.write('onnx/model_q4.onnx', null)
    await model.write('onnx/model_mine.onnx', tinyDecoder({ vocabulary: 64 }).bytes)
    expect((await loadModelDirectory(model.path)).graphFile).toMatch(/model_mine\.onnx$/)
  })

  test('finds the graph where exporters write it, beside the tokenizer', async () => {
    await model.write('onnx', null)
    await model.write('model.onnx', tinyDecoder({ vocabulary: 64 }).bytes)
    const { graphFile, notes } = await loadModelDirectory(model.path)
    expect(graphFile).toBe(join(model.path, 'model.onnx'))
    expect(notes).toEqual([])
  })

  test('takes the first of several graphs that can be served, and gives the reasons', async () => {
    await model.write('onnx/model_fp16.onnx', tinyDecoder({ vocabulary: 64 }).bytes)
    const preferred = await loadModelDirectory(model.path)
    expect(preferred.graphFile).toBe(join(model.path, 'onnx/model.onnx'))
    expect(preferred.notes).toEqual([
      'serving onnx/model.onnx, one of 2 graphs: the first in the order of preference',
    ])

    await model.write('onnx/model.onnx', graphWithExternalData('missing.onnx_data'))
    const { graphFile, notes } = await loadModelDirectory(model.path)
    expect(graphFile).toBe(join(model.path, 'onnx/model_fp16.onnx'))
    expect(notes[0]).toMatch(
      /^serving onnx\/model_fp16.onnx, one of 2 graphs: onnx\/model.onnx was refused \(.*missing.onnx_data/,
    )
  })

  test('reads genai_config.json where there is no config.json', async () => {
    const before = await loadModelDirectory(model.path)
    await model.write('config.json', null)
    await model.write('generation_config.json', null)
    const sizes = { head_size: 8, num_attention_heads: 2, num_key_value_heads: 2, filename: 'model.onnx' }
    await model.write('genai_config.json', {
      model: { context_length: 80, eos_token_id: [2, 3], pad_token_id: 0, decoder: sizes },
    })
    const after = await loadModelDirectory(model.path)
    expect(after.sizes).toEqual({ ...before.sizes, contextLength: 80, eosTokenIds: [2, 3] })
    expect(after.config).toMatchObject({ head_dim: 8, num_key_value_heads: 2 })
  })

  test.each([
    ['GPT-2', { n_embd: 16, n_positions: 70 }],
    ['MPT', { d_model: 16, max_seq_len: 70 }],
    ['a multimodal model', { vision_config: {}, text_config: { max_position_embeddings: 70 } }],
  ])('reads the sizes of %s: widths of the graph, the context by its own name', async (_, config) => {
    await model.write('config.json', config)
    expect((await loadModelDirectory(model.path)).sizes).toEqual({
      hiddenSize: 16,
      vocabularySize: 64,
      contextLength: 70,
      eosTokenIds: [2],
      padTokenId: 0,
      unusedTokens: [],
    })
  })

  test('takes the context from the tokenizer where config.json has none, unless it is unbounded', async () => {
    await model.write('config.json', {})
    const tokenizer = tinyModelFiles()['tokenizer_config.json'] as object
    await model.write('tokenizer_config.json', { ...tokenizer, model_max_length: 72 })
    expect((await loadModelDirectory(model.path)).sizes.contextLength).toBe(72)
    await model.write('tokenizer_config.json', { ...tokenizer, model_max_length: 1e30 })
    expect(await faultOf()).toMatch(/the context length in config.json .*got null/)
  })

  test('accepts a snapshot of the cache of Hugging Face, whose files are links to its blobs', async () => {
    await model.write('onnx/model.onnx', graphWithExternalData('model.onnx_data'))
    await model.write('onnx/model.onnx_data', new Uint8Array(4096))
    const snapshot = await hubCache(model.path, join(outside, 'models--o--n'))
    const direct = await loadModelDirectory(model.path)
    const linked = await loadModelDirectory(snapshot)
    expect(linked.info.fingerprint).toBe(direct.info.fingerprint)

    // Another model's blobs are outside.
    await rm(join(snapshot, 'onnx/model.onnx_data'))
    await mkdir(join(outside, 'models--o--m/blobs'), { recursive: true })
    await writeFile(join(outside, 'models--o--m/blobs/w'), new Uint8Array(4096))
    await symlink('../../../../models--o--m/blobs/w', join(snapshot, 'onnx/model.onnx_data'))
    expect(await faultOf(snapshot)).toMatch(/inside .*got a symbolic link to .*models--o--m/)
  })

  test('accepts external data inside the directory, and its fingerprint follows the weights', async () => {
    await model.write('onnx/model.onnx', graphWithExternalData('model.onnx_data'))
    await model.write('onnx/model.onnx_data', new Uint8Array(4096))
    const before = await loadModelDirectory(model.path)
    await model.write('onnx/model.onnx_data', new Uint8Array(4096).fill(1))
    const after = await loadModelDirectory(model.path)
    expect(after.info.fingerprint).not.toBe(before.info.fingerprint)
  })

  test.each([
    [
      'graph',
      (m: TinyModelDirectory) => m.write('onnx/model.onnx', tinyDecoder({ vocabulary: 64, seed: 2 }).bytes),
    ],
    ['config', (m: TinyModelDirectory) => m.write('generation_config.json', { eos_token_id: 2 })],
    ['mean', (m: TinyModelDirectory) => m.write('embedding-mean.bin', new Uint8Array(64))],
    ['tokenizer', (m: TinyModelDirectory) => m.write('tokenizer.json', tokenizerWith({ version: '2' }))],
    ['template', (m: TinyModelDirectory) => m.write('chat_template.jinja', TURNS)],
    ['question', changeProfile({ embedding: { token: 'question', layer: 1 } })],
    ['variables', changeProfile({ template: { variables: { effort: 'low' } } })],
    ['date', changeProfile({ template: { date: '2026-01-01' } })],
    ['solver', changeProfile({ solver: { system: 'w1' } })],
    ['order of keys', changeProfile({ solver: { template: '{question}', system: '' } })],
    ['judge', changeProfile({ judge: { ...JUDGE, maxNewTokens: 8 } })],
  ])('fingerprint: changes with the %s as it should', async (what, change) => {
    const before = await loadModelDirectory(model.path)
    const again = await loadModelDirectory(model.path)
    expect(again.info.fingerprint).toBe(before.info.fingerprint)
    await change(model)
    const after = await loadModelDirectory(model.path)
    // The EOS token and the judge change no latent.
    if (['config', 'judge', 'order of keys'].includes(what))
      expect(after.info.fingerprint).toBe(before.info.fingerprint)
    else expect(after.info.fingerprint).not.toBe(before.info.fingerprint)
  })
})

test('the fingerprint follows the layer of embeddings, which the model must have', async () => {
  const write = (layer: number) => changeProfile({ embedding: { token: 'question', layer } })(model)
  await write(0)
  const first = await loadModelDirectory(model.path)
  await write(1)
  expect((await loadModelDirectory(model.path)).info.fingerprint).not.toBe(first.info.fingerprint)
  await write(9)
  expect(await faultOf()).toContain('/embedding/layer must be at most')
})

test.each([
  ['prompts', { judge: { ...JUDGE, criteria: [{ ...JUDGE.criteria[0], prompt: 'check w1' }] } }, true],
  ['format rules', { format: { mustEnd: false } }, true],
  ['weights', { defaults: { latents: 3, maxNewTokens: 24, rewardWeights: { format: 1 } } }, true],
  ['answers', { answer: { kind: 'number' } }, true],
  ['comparison', { answer: { pattern: 'ans (\\w+)', compare: 'maths' } }, true],
  ['normalisation', { answer: { pattern: 'ans (\\w+)', normalise: ['number'] } }, false],
  ['latents', { defaults: { latents: 4 } }, false],
  ['solver', { solver: { system: 'w1' } }, false],
])('the fingerprint of the judge: changes with its %s as it should', async (_, change, isChanged) => {
  const before = (await loadModelDirectory(model.path)).info.judgeFingerprint
  await changeProfile(change)(model)
  const after = (await loadModelDirectory(model.path)).info.judgeFingerprint
  expect(before).toMatch(/^[0-9a-f]{64}$/)
  expect(after !== before).toBe(isChanged)
})

test.each([
  ['pattern', { answer: { pattern: 'answer (\\w+)' } }, true],
  ['comparison', { answer: { pattern: 'ans (\\w+)', compare: 'maths' } }, true],
  ['normalisation', { answer: { pattern: 'ans (\\w+)', normalise: ['number'] } }, true],
  ['judge', { judge: { ...JUDGE, criteria: [{ ...JUDGE.criteria[0], prompt: 'check w1' }] } }, false],
  ['solver', { solver: { system: 'w1' } }, false],
])('the rules of answers: change with the %s as they should', async (_, change, isChanged) => {
  const before = (await loadModelDirectory(model.path)).info.answerRules
  await changeProfile(change)(model)
  const after = (await loadModelDirectory(model.path)).info.answerRules
  expect(before).toMatch(/^[0-9a-f]{64}$/)
  expect(after !== before).toBe(isChanged)
})

suite('a faulty model directory', () => {
  test('that does not exist, or is a file', async () => {
    expect(await faultOf(join(model.path, 'nowhere'))).toMatch(/got nothing there; set MODEL_DIR/)
    expect(await faultOf(join(model.path, 'config.json'))).toMatch(/got a file; set MODEL_DIR/)
  })

  test.each(['config.json', 'tokenizer.json', 'tokenizer_config.json', 'embedding-mean.bin'])(
    'without %s',
    async (name) => {
      await model.write(name, null)
      const message = await faultOf()
      expect(message).toContain(name)
      expect(message).toMatch(/; (copy|write) /)
    },
  )

  test('without a graph', async () => {
    await model.write('onnx/model.onnx', null)
    expect(await faultOf()).toMatch(
      /expected an ONNX graph with a KV cache, model.onnx in .*; in onnx: an empty folder; export/,
    )
    await model.write('onnx', null)
    expect(await faultOf()).toMatch(/in onnx: no such folder; export/)
  })

  test('with several graphs, all damaged', async () => {
    await model.write('onnx/model_a.onnx', new Uint8Array())
    await model.write('onnx/model.onnx', 'version https://git-lfs.github.com/spec/v1')
    expect(await faultOf()).toMatch(
      /one of 2 graphs to be servable, got onnx\/model.onnx was refused .*; onnx\/model_a.onnx was refused/,
    )
  })

  test.each([
    ['text', 'version https://git-lfs.github.com/spec/v1'],
    ['nothing', ''],
    ['half a model', tinyDecoder({ vocabulary: 64 }).bytes.subarray(0, 5000)],
  ])('with an ONNX file that is %s', async (_, content) => {
    await model.write('onnx/model.onnx', content)
    expect(await faultOf()).toMatch(/expected an ONNX model in .*model\.onnx, got .*; export the model again/)
  })

  test.each([
    ['..', '../../secret.bin', /goes up by '\.\.'/],
    ['.. behind a folder', 'weights/../../secret.bin', /goes up by '\.\.'/],
    ['.. in Windows spelling', 'weights\\..\\secret.bin', /goes up by '\.\.'/],
    ['an absolute path', '/etc/hostname', /absolute path/],
    ['a drive letter', 'C:\\secret.bin', /absolute path/],
    ['a missing file', 'model.onnx_data', /got nothing there; copy the file/],
    ['a folder', '.', /to be a file, got a folder/],
  ])('with external data at %s', async (_, location, expected) => {
    await model.write('onnx/model.onnx', graphWithExternalData(location))
    expect(await faultOf()).toMatch(expected)
  })

  test.each<[string, Record<string, string>, number, RegExp]>([
    [
      'shorter than the graph says',
      {},
      4095,
      /expected 4096 bytes or more in .*w\.bin, got 4095 bytes; copy the graph/,
    ],
    ['empty', {}, 0, /expected 4096 bytes or more .* got 0 bytes/],
    ['that ends before an offset', { offset: '64' }, 4096, /expected 4160 bytes or more .* got 4096 bytes/],
    ['with an offset before it', { offset: '-64' }, 4096, /got an offset or a length that cannot be/],
    ['with a length of another shape', { length: '64' }, 4096, /got an offset or a length that cannot be/],
    ['with a length that is no number', { length: 'all' }, 4096, /got an offset or a length that cannot be/],
  ])('with external data %s', async (_, place, size, expected) => {
    await model.write('onnx/model.onnx', graphWithExternalData('w.bin', place))
    await model.write('onnx/w.bin', new Uint8Array(size))
    expect(await faultOf()).toMatch(expected)
  })

  test('with external data behind a link that leaves the directory, file or folder', async () => {
    await writeFile(join(outside, 'weights.bin'), 'secret')
    await model.write('onnx/model.onnx', graphWithExternalData('weights.bin'))
    await symlink(join(outside, 'weights.bin'), join(model.path, 'onnx/weights.bin'))
    expect(await faultOf()).toMatch(/inside .*got a symbolic link to .*weights\.bin; put a copy/)

    await model.write('onnx/model.onnx', graphWithExternalData('folder/weights.bin'))
    await symlink(outside, join(model.path, 'onnx/folder'))
    expect(await faultOf()).toMatch(/symbolic link to .*weights\.bin/)
  })

  test.each([
    ['onnx/model.onnx', '/dev/zero', /expected an ONNX model in .*, got a device or a pipe; export/],
    ['onnx/model.onnx', 'nowhere', /expected an ONNX model in .*, got ENOENT/],
    ['onnx/model.onnx', 'model.onnx', /expected an ONNX model in .*, got ELOOP/],
    ['onnx/model.onnx', '.', /expected an ONNX model in .*, got a folder/],
    [
      'tokenizer.json',
      '/dev/zero',
      /expected to read tokenizer.json in .*, got a device or a pipe; put a copy/,
    ],
    ['config.json', '.', /expected to read config.json in .*, got a folder/],
    ['config.json', '/etc/hostname', /expected config.json to be JSON/],
  ])('whose %s is a link to %s', async (name, target, expected) => {
    await model.write(name, null)
    await symlink(target, join(model.path, name))
    expect(await faultOf()).toMatch(expected)
  })

  test('accepts a link that stays inside', async () => {
    await mkdir(join(model.path, 'blobs'))
    await model.write('blobs/weights', new Uint8Array(4096))
    await model.write('onnx/model.onnx', graphWithExternalData('weights.bin'))
    await symlink('../blobs/weights', join(model.path, 'onnx/weights.bin'))
    await expect(loadModelDirectory(model.path)).resolves.toBeDefined()
  })

  test.each(['config.json', 'tokenizer.json', 'circadian.json'])(
    'with a %s that is no JSON object',
    async (name) => {
      await model.write(name, '{"cut": ')
      expect(await faultOf()).toContain(`expected ${name} to be JSON`)
      await model.write(name, '[1]')
      expect(await faultOf()).toContain(`expected ${name} to hold a JSON object`)
    },
  )

  test('with a circadian.json that is no JSON is to be corrected, not copied again', async () => {
    await model.write('circadian.json', '{"solver": }')
    expect(await faultOf()).toMatch(
      /expected circadian\.json to be JSON, got .*; correct it \(docs\/models\.md\)$/,
    )
  })

  test.each([
    ['UTF-16', 'utf16le'],
    ['Latin-1', 'latin1'],
  ] as const)('with files in %s', async (_, encoding) => {
    for (const name of ['circadian.json', 'tokenizer_config.json', 'chat_template.jinja']) {
      await model.write(name, new Uint8Array(Buffer.from('\uFEFF{"é": 1}', encoding)))
      expect(await faultOf()).toContain(
        `expected ${name} to be UTF-8 text, got another encoding; save it as UTF-8`,
      )
      await model.write(name, tinyModelFiles()[name] ?? null)
    }
  })

  test('with a tokenizer.json whose fault shows in use only', async () => {
    await model.write(
      'tokenizer.json',
      tokenizerWith({ post_processor: { type: 'TemplateProcessing', single: ['x'] } }),
    )
    expect(await faultOf()).toMatch(/expected tokenizer\.json to be readable by Hugging Face tokenizers/)
  })

  test.each(['config.json', 'circadian.json', 'tokenizer.json', 'tokenizer_config.json'])(
    'with a %s of endless nesting',
    async (name) => {
      await model.write(name, `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)
      expect(await faultOf()).toMatch(`expected ${name} to nest at most 100 levels deep, got more`)
      await model.write(name, '['.repeat(100_000) + ']'.repeat(100_000))
      expect(await faultOf()).toMatch(`expected ${name} to nest at most 100 levels deep, got more`)
    },
  )

  test('with a config.json that has no context length', async () => {
    await model.write('config.json', { eos_token_id: 2 })
    expect(await faultOf()).toMatch(
      /expected the context length in config.json \(max_position_embeddings, .* got null; set max_position_emb/,
    )
    await model.write('config.json', { eos_token_id: 2, n_positions: '96' })
    expect(await faultOf()).toMatch(/to be a positive integer, got "96"/)
  })

  test('without an end of sequence', async () => {
    await model.write('chat_template.jinja', TURNS)
    await model.write('config.json', { max_position_embeddings: 96 })
    const tokenizer = tinyModelFiles()['tokenizer_config.json'] as object
    await model.write('tokenizer_config.json', { ...tokenizer, eos_token: '</s>' })
    await model.write('generation_config.json', { eos_token_id: [] })
    expect(await faultOf()).toMatch(/expected eos_token_id .* got \[\]; set eos_token_id/)
    await model.write('generation_config.json', { eos_token_id: 64 })
    expect(await faultOf()).toMatch(/below the vocabulary's size 64, got 64/)
  })

  test('without a chat template, or with one that cannot be used', async () => {
    const { chat_template: _, ...config } = tinyModelFiles()['tokenizer_config.json'] as Record<
      string,
      unknown
    >
    await model.write('tokenizer_config.json', config)
    expect(await faultOf()).toMatch(/expected a chat template .*got none; use an instruction-tuned model/)
    await model.write('chat_template.jinja', '{% for message in messages %}')
    expect(await faultOf()).toMatch(/expected the chat template to be readable by/)
    await model.write('chat_template.jinja', "{{ raise_exception('no system role, please') }}")
    expect(await faultOf()).toMatch(/got: .*no system role, please/)
  })

  test.each([
    [
      'a loop without a visible end',
      `{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}`,
    ],
    ['a list that fills the memory', `{% for i in range(99999999999) %}{{ i }}{% endfor %}`],
  ])('with a template that loops: %s', { timeout: 60_000 }, async (_, loop) => {
    await model.write('chat_template.jinja', `${loop}${QUESTION}`)
    const start = performance.now()
    expect(await faultOf()).toMatch(
      /expected the chat template .*, got: no end after 2 s: the template loops/,
    )
    expect(performance.now() - start).toBeLessThan(30_000)
  })

  test('with a template that refuses the turns of its chat judge', async () => {
    await model.write('chat_template.jinja', ONE_TURN)
    await loadModelDirectory(model.path)
    await model.write('circadian.json', profileWith('judge', { mode: 'chat' }))
    expect(await faultOf()).toMatch(/the turns user, assistant, user .*got: .*one turn only/)
  })

  test.each([
    ['', ''],
    ['hello', 'hello'],
    ["{{ messages[0]['role'] }}", 'user'],
    ["{% for message in messages %}w1 {{ message['content']['text'] }}{% endfor %}", 'w1 '],
  ])('with the template %j, which leaves the question out', async (template, rendered) => {
    await model.write('chat_template.jinja', template)
    expect(await faultOf()).toContain(
      `expected the chat template with the turns user to repeat the last turn, got "${rendered}"; use a template for turns`,
    )
  })

  test('with a tokenizer of an unknown kind', async () => {
    await model.write('tokenizer.json', { model: { type: 'Oracle' }, added_tokens: [] })
    expect(await faultOf()).toMatch(/expected tokenizer.json to be readable by/)
  })

  test.each<[string, (p: Record<string, never>) => void, RegExp]>([
    ['an unknown field', (p) => Object.assign(p, { latents: 4 }), /\/latents is not a field of the profile/],
    ['a wrong type', (p) => Object.assign(p, { defaults: { lr: 'fast' } }), /\/defaults\/lr must be number/],
    [
      'a value that is none of several',
      (p) => Object.assign(p, { answer: { kind: 'box' } }),
      /got \/answer\/kind must be "boxed" or "json" or "number";/,
    ],
    [
      'a step that does not exist',
      (p) => Object.assign(p, { answer: { kind: 'boxed', normalise: ['trim', 'round'] } }),
      /got \/answer\/normalise\/1 must be "trim" or [^;]* or "choice";/,
    ],
    [
      'a value of neither type',
      (p) => Object.assign(p, { embedding: { mean: 3 } }),
      /got \/embedding\/mean must be string or must be null;/,
    ],
    [
      'no weight above 0',
      (p) => Object.assign(p, { defaults: { rewardWeights: { verifier: 0, format: 0 } } }),
      /\/defaults\/rewardWeights must have a weight above 0/,
    ],
    ['a number out of range', (p) => Object.assign(p, { defaults: { rho: 2 } }), /\/defaults\/rho/],
    [
      'a variable of its own',
      (p) => Object.assign(p, { template: { variables: { messages: [] } } }),
      /\/template\/variables\/messages is set by the service/,
    ],
    [
      'a date that is none',
      (p) => Object.assign(p, { template: { date: '2026-02-30' } }),
      /\/template\/date/,
    ],
    ['no solver', (p) => Reflect.deleteProperty(p, 'solver'), /solver/],
    [
      'a template without its place',
      (p) => Object.assign(p, { solver: { system: '', template: 'x' } }),
      /\/solver\/template/,
    ],
    ['a broken pattern', (p) => Object.assign(p, { answer: { pattern: 'ans (' } }), /\/answer\/pattern/],
    [
      'a pattern without a group',
      (p) => Object.assign(p, { answer: { pattern: 'ans' } }),
      /\/answer\/pattern has no group/,
    ],
    [
      'no way to find an answer',
      (p) => Object.assign(p, { answer: {} }),
      /exactly one of 'pattern' and 'kind'/,
    ],
    [
      'two ways to compare answers',
      (p) => Object.assign(p, { answer: { kind: 'boxed', compare: 'maths', normalise: ['latex'] } }),
      /at most one of 'compare' and 'normalise'/,
    ],
    [
      'an unknown way to compare answers',
      (p) => Object.assign(p, { answer: { kind: 'boxed', compare: 'sums' } }),
      /\/answer\/compare/,
    ],
    [
      'a restatement rule without a group',
      (p) => Object.assign(p, { format: { restates: { question: '(x)', reasoning: 'x' } } }),
      /\/format\/restates\/reasoning has no group/,
    ],
  ])('whose profile has %s', async (_, change, expected) => {
    await model.write('circadian.json', profile(change))
    const message = await faultOf()
    expect(message).toMatch(expected)
    expect(message).toMatch(/profile\.ts describes every field$/)
  })

  test.each([
    [
      'no correctness criterion',
      [{ name: 'clarity' }],
      /exactly one criterion named 'correctness', it has 0/,
    ],
    ['two of them', [{}, {}], /exactly one criterion named 'correctness', it has 2/],
    ['a name twice', [{}, { name: 'a' }, { name: 'a' }], /several criteria named 'a'/],
    ['verdicts that look alike', [{ false: ['true not'] }], /'true not', whose first token is also/],
    [
      'verdicts unknown to the tokenizer',
      [{ true: ['yes'], false: ['no'] }],
      /'no', whose first token is also/,
    ],
    ['a verdict without tokens', [{ true: [' '] }], /' ', which has no token/],
  ])('whose judge has %s', async (_, changes, expected) => {
    const criterion = { name: 'correctness', prompt: 'check', true: ['true'], false: ['false'], weight: 1 }
    const criteria = changes.map((change) => ({ ...criterion, ...change }))
    await model.write(
      'circadian.json',
      profile((p) => Object.assign(p, { judge: { mode: 'continuation', criteria } })),
    )
    expect(await faultOf()).toMatch(expected)
  })

  test('whose embedding mean has another width, is not finite, or lies elsewhere', async () => {
    await model.write('embedding-mean.bin', new Uint8Array(60))
    expect(await faultOf()).toMatch(/expected 16 fp32 numbers \(64 bytes\) .*got 60 bytes; measure it again/)
    await model.write('embedding-mean.bin', new Uint8Array(new Float32Array(16).fill(Number.NaN).buffer))
    expect(await faultOf()).toMatch(/expected finite numbers/)
    await model.write(
      'circadian.json',
      profile((p) => Object.assign(p, { embedding: { mean: '../mean.bin' } })),
    )
    expect(await faultOf()).toMatch(/the embedding mean of circadian.json to lie inside/)
  })
})

suite('a measured profile', () => {
  const PROFILE = {
    ...(tinyModelFiles()['circadian.json'] as object),
    embedding: { token: 'question', layer: 1, mean: 'embedding-mean.bin' },
    defaults: { stopReward: -0.1, admitReward: -0.1, minSimilarity: 0.6, lr: 0.2, maxNewTokens: 24 },
  }

  /** Removes the profile of the model, and writes one that was measured on `model` into the folder of profiles. */
  async function measure(change: object = {}): Promise<void> {
    const { measuredOn } = await loadModelDirectory(model.path)
    await model.write('circadian.json', null)
    await mkdir(join(outside, 'tiny'))
    const files = {
      'circadian.json': JSON.stringify(PROFILE),
      'measured-on.json': JSON.stringify({ ...measuredOn, ...change }),
      'embedding-mean.bin': new Uint8Array(new Float32Array(16).fill(0.5).buffer),
    }
    for (const [name, content] of Object.entries(files)) await writeFile(join(outside, 'tiny', name), content)
  }

  test('of these weights serves a directory without circadian.json, with its mean', async () => {
    await measure()
    const { info, warning, notes, profileSource } = await loadModelDirectory(model.path, outside)
    expect(profileSource).toBe('models/profiles/tiny')
    expect(info.profile).toMatchObject({
      embedding: PROFILE.embedding,
      defaults: { stopReward: -0.1, minSimilarity: 0.6, lr: 0.2 },
    })
    expect(info.embeddingMean![0]).toBe(0.5)
    expect(warning).toBeNull()
    expect(notes[0]).toMatch(
      /no circadian\.json .* models\/profiles\/tiny, which was measured on these weights/,
    )
  })

  test('gives the fingerprints of its files in the model directory', async () => {
    await measure()
    const found = await loadModelDirectory(model.path, outside)
    for (const name of ['circadian.json', 'embedding-mean.bin']) {
      await rm(join(model.path, name), { force: true })
      await copyFile(join(outside, 'tiny', name), join(model.path, name))
    }
    const own = await loadModelDirectory(model.path, outside)
    expect(own.profileSource).toBe('circadian.json')
    expect(own.info).toEqual(found.info)
  })

  test('of the same architecture lends prompts and rates, but neither thresholds nor embedding', async () => {
    await measure({ weights: '0'.repeat(64) })
    const { info, warning, profileSource } = await loadModelDirectory(model.path, outside)
    expect(profileSource).toBe('models/profiles/tiny')
    expect(info.profile).toMatchObject({
      judge: JUDGE,
      embedding: { token: 'last', mean: null },
      defaults: { stopReward: 0, admitReward: -0.5, minSimilarity: 0.98, lr: 0.2 },
    })
    expect(warning).toMatch(/other weights of this architecture: .* no verdict ends a search/)
  })

  test('of these weights comes before one of the architecture, whatever their names', async () => {
    await measure()
    await mkdir(join(outside, 'another'))
    const { measuredOn } = await loadModelDirectory(model.path, outside)
    const other = JSON.stringify({ ...measuredOn, weights: '0' })
    await writeFile(join(outside, 'another/measured-on.json'), other)
    await copyFile(join(outside, 'tiny/circadian.json'), join(outside, 'another/circadian.json'))
    expect((await loadModelDirectory(model.path, outside)).profileSource).toBe('models/profiles/tiny')
  })

  test('of another model is not taken', async () => {
    await measure({ weights: '0'.repeat(64), architecture: { type: 'llama', hiddenSize: 17 } })
    expect(await loadModelDirectory(model.path, outside).catch(({ message }) => message)).toContain('boxed{}')
  })
})
