import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { checkModel, formatReport } from '#models'
import { decodeModel, encodeModel, type Model, type Node } from '#onnx'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import {
  TINY_RECURRENCE,
  TINY_WORDS,
  type TinyModelDirectory,
  tinyModelDirectory,
  tinyModelFiles,
  tinyRecurrentDirectory,
} from '../../fixtures/tiny-model-directory.ts'
import { circadian } from '../../support/circadian-command.ts'

const ON_CPU = { executionProvider: 'cpu', cudaDevice: 0 } as const
const LAYERS = 2

let model: TinyModelDirectory

beforeEach(async () => {
  model = await tinyModelDirectory({ layers: LAYERS })
})

afterEach(async () => {
  await model[Symbol.asyncDispose]()
})

describe('checkModel()', () => {
  test('reports sizes, names and prompt as the engine reads them, and runs the model', async () => {
    const { info, sizes, description } = await loadModelDirectory(model.path)
    const report = await checkModel(model.path, ON_CPU)
    expect(report).toMatchObject({ servable: true, faults: [] })
    expect(report.model).toMatchObject({
      fingerprint: info.fingerprint,
      layout: 'hub',
      graph: 'onnx/model.onnx',
      externalData: [],
      inputs: expect.arrayContaining(['input_ids', 'past_key_values.1.value']),
      outputs: expect.arrayContaining(['logits', 'present.1.value']),
      head: {
        kind: 'dense',
        dtype: 'float32',
        vocabularySize: TINY_WORDS.length,
        hiddenSize: sizes.hiddenSize,
      },
      layers: LAYERS,
      layerStates: LAYERS + 1,
      padding: description.padding,
      contextLength: 96,
      tokenizer: { eosTokenIds: [2], padTokenId: 0 },
      prompt: { text: '<bos><|user|> {question} <|assistant|>', tokens: 4 },
      profileSource: 'circadian.json',
    })
    expect(report.model!.files.map(({ path }) => path)).toEqual([
      'config.json',
      'generation_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'circadian.json',
      'embedding-mean.bin',
      'onnx/model.onnx',
    ])
    expect(report.run).toMatchObject({ provider: 'cpu', tokens: expect.any(Number) })
    expect(report.run!.tokens).toBeGreaterThan(0)
  })

  test('reports the types of a quantised head', async () => {
    await using quantised = await tinyModelDirectory({ width: 32, heads: 2, head: 'quantized' })
    const { model: facts, faults } = await checkModel(quantised.path, ON_CPU)
    expect(faults).toEqual([])
    expect(facts).toMatchObject({ head: { kind: 'quantized', dtype: 'int4' }, cache: { dtype: 'float32' } })
  })

  test('estimates memory as weights + B x (P + T) x bytes of a cache position', async () => {
    const { model: facts } = await checkModel(model.path, ON_CPU)
    const weights = statSync(join(model.path, 'onnx/model.onnx')).size
    const { keyValueHeads, headSize } = (await loadModelDirectory(model.path)).description
    const position = 2 * LAYERS * keyValueHeads * headSize * 4
    expect(facts).toMatchObject({ weightBytes: weights, cache: { bytesPerPosition: position } })
    expect(facts!.memory).toEqual(
      [1, 8, 32].map((rows) => ({ rows, tokens: 96, bytes: weights + rows * 96 * position })),
    )
  })

  test('reports a default profile and what it assumes', async () => {
    await model.write('circadian.json', null)
    await model.write('tokenizer.json', tokenizerWithVerdicts())
    const { model: facts, servable } = await checkModel(model.path, ON_CPU)
    expect(servable).toBe(true)
    expect(facts).toMatchObject({
      profileSource: 'default',
      notes: [expect.stringContaining('serving on a default profile')],
    })
  })

  test('lists the faults of graph and tokenizer, the first in the words of the service', async () => {
    await model.write('tokenizer.json', null)
    await model.write('onnx/model.onnx', 'version https://git-lfs.github.com/spec/v1')
    const thrown = await loadModelDirectory(model.path).catch((error: unknown) => error)
    const { servable, faults, model: facts } = await checkModel(model.path, ON_CPU)
    expect({ servable, facts }).toEqual({ servable: false, facts: null })
    expect(faults).toEqual([
      (thrown as Error).message,
      expect.stringMatching(/^load model: expected the file tokenizer\.json/),
    ])
    expect(faults[0]).toContain('Git LFS pointer')
  })

  test('reports a model that loads and does not run', async () => {
    await model.write('onnx/model.onnx', graphOfNaN())
    const report = await checkModel(model.path, ON_CPU)
    expect(report).toMatchObject({
      servable: false,
      faults: [expect.stringMatching(/^try model: .* states that are NaN or infinite$/)],
      model: { layers: LAYERS },
      run: null,
    })
    expect(formatReport(report)).toMatch(/cannot be served:\n- try model: /)
  })

  test('reports the core of a depth-recurrent model, and runs it', async () => {
    await using recurrent = await tinyRecurrentDirectory()
    const report = await checkModel(recurrent.path, ON_CPU)
    expect(report).toMatchObject({ servable: true, faults: [] })
    const { maxSteps } = TINY_RECURRENCE
    expect(report.model).toMatchObject({
      graph: 'onnx/prelude.onnx',
      core: { maxSteps, layers: 2 },
      layers: 4,
      layerStates: maxSteps,
      cache: { bytesPerPosition: (2 + 2 * maxSteps) * 2 * 2 * 8 * 4 },
    })
    expect(formatReport(report)).toContain(
      `(2 + 2 in the core x ${maxSteps} recurrences) layers x 2 heads x 8 x 2, float32`,
    )
  })
})

describe('a damaged directory', () => {
  const { bytes } = tinyDecoder({ vocabulary: TINY_WORDS.length, layers: LAYERS })
  const changed = (change: (model: Model) => Model) => encodeModel(change(decodeModel(bytes)))
  const withOperator = (fields: Partial<Node>) =>
    changed((decoded) => {
      const nodes = decoded.graph.nodes.map((node) =>
        node.opType === 'Sigmoid' ? { ...node, ...fields } : node,
      )
      return { ...decoded, graph: { ...decoded.graph, nodes } }
    })
  const tokenizer = tinyModelFiles()['tokenizer.json'] as object

  test.each<[string, string, unknown, RegExp]>([
    [
      'a graph without its last byte',
      'onnx/model.onnx',
      bytes.subarray(0, -1),
      /expected an ONNX model .*premature EOF/,
    ],
    ['a graph of noise', 'onnx/model.onnx', bytes.map((byte, at) => byte ^ at), /expected an ONNX model in/],
    [
      'a new operator set',
      'onnx/model.onnx',
      changed((decoded) => ({ ...decoded, opsetImports: new Map([['', 99]]) })),
      /expected an operator set of 13 to 26, got 99/,
    ],
    [
      'a new version of the format',
      'onnx/model.onnx',
      changed((decoded) => ({ ...decoded, irVersion: 99 })),
      /^load a graph: ONNX Runtime refused: Unsupported model IR version: 99, max supported IR version: \d+$/,
    ],
    [
      'an operator of another domain',
      'onnx/model.onnx',
      withOperator({ domain: 'acme' }),
      /got Sigmoid ".*" of acme/,
    ],
    [
      'an unknown operator',
      'onnx/model.onnx',
      withOperator({ opType: 'Sigmoids' }),
      /ONNX Runtime refused: .*Sigmoids/s,
    ],
    ['no tokenizer', 'tokenizer.json', null, /expected the file tokenizer.json in/],
    ['an empty tokenizer', 'tokenizer.json', {}, /expected tokenizer.json to be readable/],
    [
      'a tokenizer with a broken pattern',
      'tokenizer.json',
      {
        ...tokenizer,
        pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false },
      },
      /expected tokenizer.json to be readable .*Unterminated group/,
    ],
    [
      'a template that throws',
      'chat_template.jinja',
      "{{ raise_exception('no') }}",
      /expected the chat template .* got: no$/,
    ],
    [
      'a template that calls nothing',
      'chat_template.jinja',
      '{{ x.y.z() }}',
      /expected the chat template .* not a function/,
    ],
    [
      'a template that writes gigabytes',
      'chat_template.jinja',
      "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
      /expected the chat template .* Invalid string length/,
    ],
  ])('%s: one clear fault, and an end', { timeout: 60_000 }, async (_, name, content, expected) => {
    await model.write(name, content)
    const { servable, faults } = await checkModel(model.path, ON_CPU)
    expect({ servable, faults }).toEqual({ servable: false, faults: [expect.stringMatching(expected)] })
  })
})

test('a model that the memory of the service does not hold cannot be served', async () => {
  const bytes = 2 ** 30
  expect(await checkModel(model.path, { ...ON_CPU, memoryBytes: bytes })).toMatchObject({ servable: true })
  // A process of Node alone takes more than a share of these.
  for (const limit of [{ memoryBytes: 2 ** 26 }, { memoryBytes: bytes, replicas: 16 }]) {
    const { servable, faults } = await checkModel(model.path, { ...ON_CPU, ...limit })
    const fault = expect.stringMatching(
      /expected memory for runs, got 0\.06 GiB .* raise ENGINE_MEMORY_BYTES/,
    )
    expect({ servable, faults }).toEqual({ servable: false, faults: [fault] })
  }
}, 60_000)

describe('circadian model check', () => {
  test('prints the report and ends with 0', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await circadian(['model', 'check', model.path])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('<bos><|user|> {question} <|assistant|>')
    expect(stdout).toMatch(/\ndecoded +\d+ tokens in \d+ ms: /)
    expect(stdout).toMatch(/\ncan be served\n$/)
  })

  test('prints faults as JSON and ends with 1', { timeout: 60_000 }, async () => {
    await rm(join(model.path, 'config.json'))
    const { code, stdout, stderr } = await circadian(['model', 'check', model.path, '--json'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      servable: false,
      faults: [expect.stringContaining('expected the file config.json')],
    })
  })
})

/** The tokenizer with the words Yes and No in place of two others. */
function tokenizerWithVerdicts(): object {
  const words = TINY_WORDS.with(20, 'Yes').with(21, 'No').with(22, '\\boxed{}')
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordLevel',
      unk_token: '<unk>',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  }
}

/** The tiny decoder with a matrix of NaN. */
function graphOfNaN(): Uint8Array {
  const decoded = decodeModel(tinyDecoder({ vocabulary: TINY_WORDS.length, layers: LAYERS }).bytes)
  const initializers = new Map(decoded.graph.initializers)
  const [name, stored] = [...initializers].find(([, { dims }]) => dims.length === 2)!
  const bytes = new Uint8Array(new Float32Array(stored.bytes.length / 4).fill(Number.NaN).buffer)
  initializers.set(name, { ...stored, bytes })
  return encodeModel({ ...decoded, graph: { ...decoded.graph, initializers } })
}
