/**
 * @file Real exporters' output on the real engine: equal to the reference alone and in ragged batches, or
 * refused by name. `npm run exports` writes the table of docs/models.md anew.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, suite, test } from 'vitest'
import { EXPORTS, type Outcome, serveExport, withExportTable } from '../support/exports.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/models.md')

/** Exports that are refused: the code, and what the message must name. */
const REFUSED: Readonly<Record<string, readonly [code: string, message: RegExp]>> = {
  'optimum-llama-int8': [
    'MODEL_UNSUPPORTED',
    /DynamicQuantizeLinear ".*" \(dynamic int8\).*take the q4, fp16/,
  ],
  'optimum-qwen2-int8': ['MODEL_UNSUPPORTED', /DynamicQuantizeLinear ".*" \(dynamic int8\).*optimum-cli/],
  'optimum-llama-uint8': [
    'MODEL_UNSUPPORTED',
    /DynamicQuantizeLinear ".*" \(dynamic int8\).*take the q4, fp16/,
  ],
  'optimum-llama-bnb4': [
    'MODEL_UNSUPPORTED',
    /got MatMulBnb4 ".*"; take the q4, fp16 or fp32 variant .*optimum-cli/,
  ],
  // The builder forgets the input of its rotary embedding.
  'genai-smollm3': ['MODEL_INVALID', /reads "position_ids", which is not defined; .*optimum-cli export onnx/],
  'optimum-llama-merged': ['MODEL_UNSUPPORTED', /merged decoder.*use_cache_branch.*optimum-cli export onnx/],
}

const outcomes = new Map<string, Outcome>()

suite.concurrent('exports', () => {
  test.each(Object.keys(EXPORTS))('%s', { timeout: 180_000 }, async (name) => {
    const outcome = await serveExport(name)
    outcomes.set(name, outcome)
    const refused = REFUSED[name]
    if (refused) {
      const [code, message] = refused
      expect(outcome.refusal).toEqual({ code, message: expect.stringMatching(message) })
      return
    }
    expect(outcome).toMatchObject({
      refusal: null,
      alone: true,
      together: true,
      thoughts: true,
      searches: true,
      strategies: { latentseek: [], lto: [], majority: [] },
    })
    if (outcome.refusal !== null) return
    expect(outcome.stateError ?? 0).toBeLessThan(2e-3)
    const { dtype } = EXPORTS[name]!
    const bound = dtype.startsWith('int4') ? 0.2 : dtype === 'fp16' ? 0.01 : 1e-4
    expect(outcome.batchError).toBeLessThan(bound)
    expect(outcome.logitError).toBeLessThan(bound)
    expect(outcome.gradientError).toBeLessThan(dtype.includes('f16') ? 1e-3 : 1e-5)
  })
})

test('the table of docs/models.md is current', async () => {
  expect([...outcomes.keys()].sort()).toEqual(Object.keys(EXPORTS).sort())
  const document = readFileSync(DOCUMENT, 'utf8')
  await expect(withExportTable(document, outcomes)).toMatchFileSnapshot(DOCUMENT)
})
