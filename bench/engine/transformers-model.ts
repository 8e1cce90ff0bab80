/** @file transformers.js on a local model directory: greedy generation from the same ONNX file. */

import '../../src/engine/child/without-telemetry.ts'
import { basename, dirname } from 'node:path'
import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers'

export interface TransformersModel {
  /** Returns greedy answers, EOS included, from one `generate` call with prompts padded on the left. */
  generate(prompts: readonly (readonly number[])[], maxNewTokens: number): Promise<number[][]>
}

export async function loadTransformers(
  directory: string,
  { threads, eosTokenIds }: { readonly threads: number; readonly eosTokenIds: readonly number[] },
): Promise<TransformersModel> {
  env.allowRemoteModels = false
  env.localModelPath = dirname(directory)
  const model = await AutoModelForCausalLM.from_pretrained(basename(directory), {
    device: 'cpu',
    dtype: 'fp32',
    local_files_only: true,
    session_options: { intraOpNumThreads: threads },
  })
  return {
    async generate(prompts, maxNewTokens) {
      const length = Math.max(...prompts.map((prompt) => prompt.length))
      const rows = (value: (prompt: readonly number[], at: number) => number) =>
        new Tensor(
          'int64',
          BigInt64Array.from(
            prompts.flatMap((prompt) =>
              Array.from({ length }, (_, index) => BigInt(value(prompt, index - length + prompt.length))),
            ),
          ),
          [prompts.length, length],
        )
      const generated = await model.generate({
        input_ids: rows((prompt, at) => prompt[at] ?? 0),
        attention_mask: rows((_, at) => Number(at >= 0)),
        do_sample: false,
        max_new_tokens: maxNewTokens,
      } as unknown as Parameters<typeof model.generate>[0])
      const sequences = (generated as Tensor).tolist() as bigint[][]
      return sequences.map((sequence) => {
        const tokens = sequence.slice(length).map(Number)
        const end = tokens.findIndex((token) => eosTokenIds.includes(token))
        return end === -1 ? tokens : tokens.slice(0, end + 1)
      })
    },
  }
}
