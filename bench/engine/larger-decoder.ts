/**
 * @file A decoder large enough that arithmetic decides, so that the engine's figures do not rest on a toy
 * alone: about 61M random weights, 32,768 words, built once into a cache folder and never committed.
 */

import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeModel } from '#onnx'
import { type TinyDecoderOptions, tinyDecoder } from '../../test/fixtures/tiny-decoder.ts'
import { quantizeProducts } from './quantize-products.ts'

const CACHE = join(import.meta.dirname, '../../node_modules/.cache/circadian-bench')

const WIDTH = 768
const SHAPE: TinyDecoderOptions = {
  seed: 20261121,
  layers: 7,
  width: WIDTH,
  heads: 12,
  keyValueHeads: 4,
  vocabulary: 32_768,
  head: 'tied',
  // Scaled so that the logits of a tied random head spread like those of a trained one.
  scale: 1.5 / Math.sqrt(WIDTH),
}

/** Version of the built files; raise it when their content changes. */
const VERSION = 3

const SPECIAL = ['<pad>', '<bos>', '<eos>', '<unk>', '<|user|>', '<|assistant|>']
const VERDICTS = ['true', 'false']

/** Published criteria (LatentSeek, arXiv 2505.13308) with their weights. */
const CRITERIA = { correctness: 1, comprehension: 1, calculation: 2, clarity: 2 }
const JUDGE_WORDS = 24

/**
 * Returns the model's directory in Hugging Face layout. The first call builds it (some ten seconds, 0.25
 * GB).
 *
 * @param weights `fp32`, or `int4`: every product with a constant matrix as MatMulNBits in blocks of 32.
 */
export async function largerDecoder(weights: 'fp32' | 'int4' = 'fp32'): Promise<string> {
  const folder = join(CACHE, `larger-decoder-${VERSION}-${weights}`)
  if (await exists(folder)) return folder
  const unfinished = `${folder}.${process.pid}`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(join(unfinished, 'onnx'), { recursive: true })
  const { model, config } = tinyDecoder(SHAPE)
  const built = weights === 'int4' ? quantizeProducts(model) : model
  await writeFile(join(unfinished, 'onnx/model.onnx'), encodeModel(built))
  for (const [name, content] of Object.entries(describe(config))) {
    await writeFile(join(unfinished, name), `${JSON.stringify(content)}\n`)
  }
  // A rename at the end, so that no other process finds an incomplete model.
  await rename(unfinished, folder)
  return folder
}

/** Returns `count` prompts of `words` words each, which differ from the first word on. */
export function largerPrompts(count: number, words: number): string[] {
  const firstWord = SPECIAL.length + VERDICTS.length
  const words_ = SHAPE.vocabulary! - firstWord
  return Array.from({ length: count }, (_, index) =>
    Array.from({ length: words }, (_, at) => `w${(index * 7919 + at * 104_729) % words_}`).join(' '),
  )
}

function describe(config: Readonly<Record<string, number>>): Record<string, unknown> {
  const vocabulary = SHAPE.vocabulary!
  const words = [
    ...SPECIAL,
    ...VERDICTS,
    ...Array.from({ length: vocabulary - SPECIAL.length - VERDICTS.length }, (_, index) => `w${index}`),
  ]
  return {
    'config.json': {
      ...config,
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      head_dim: WIDTH / SHAPE.heads!,
      intermediate_size: 2 * WIDTH,
      max_position_embeddings: 1024,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 0,
    },
    'generation_config.json': { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 },
    'tokenizer.json': {
      version: '1.0',
      added_tokens: SPECIAL.map((content, id) => ({
        id,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      })),
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: null,
      decoder: null,
      model: {
        type: 'WordLevel',
        unk_token: '<unk>',
        vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      },
    },
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<bos>',
      eos_token: '<eos>',
      pad_token: '<pad>',
      unk_token: '<unk>',
      chat_template:
        "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|> ' + message['content'] + ' ' }}" +
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    },
    'circadian.json': {
      solver: { system: '' },
      judge: {
        mode: 'continuation',
        criteria: Object.entries(CRITERIA).map(([name, weight], index) => ({
          name,
          weight,
          prompt: largerPrompts(index + 1, JUDGE_WORDS)[index],
          true: ['true'],
          false: ['false'],
        })),
      },
      answer: { pattern: '(\\S+)\\s*$' },
      format: { mustEnd: false },
      // Random logits lie close together: at this rate a token changes after one to five steps, three on
      // average.
      defaults: { lr: 0.0001, maxNewTokens: 256, rewardWeights: { verifier: 1, format: 0 } },
    },
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
