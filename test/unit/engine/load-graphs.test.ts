/** @file Weights left in the model's own file as external data, also behind a symbolic link. */

import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, suite, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { decodeModel } from '#onnx'
import { externalizeInitializers, loadGraphs } from '../../../src/engine/child/load-graphs.ts'
import { createScheduler } from '../../../src/engine/child/scheduler.ts'
import { tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

/** Wide enough for matrices above the size at which they stay in the file. */
const DECODER = { width: 128, heads: 4, vocabulary: 64 }

suite('weights left in the file', () => {
  test('are references to their bytes in the file; small tensors are copied', async () => {
    await using directory = await tinyModelDirectory(DECODER)
    const file = await readFile(join(directory.path, 'onnx/model.onnx'))
    const model = decodeModel(file)
    const left = externalizeInitializers(model, file, 'model.onnx')
    const references = [...left.graph.initializers].filter(([, { external }]) => external !== undefined)
    expect(references.length).toBeGreaterThan(4)
    for (const [name, { external, bytes, dims }] of references) {
      const original = model.graph.initializers.get(name)!
      const [offset, length] = [Number(external!.get('offset')), Number(external!.get('length'))]
      expect(external!.get('location')).toBe('model.onnx')
      expect(bytes).toHaveLength(0)
      expect(dims).toEqual(original.dims)
      expect(length).toBe(4 * dims.reduce((product, dim) => product * dim, 1))
      expect(file.subarray(offset, offset + length).equals(original.bytes)).toBe(true)
    }
    for (const [name, tensor] of left.graph.initializers) {
      if (tensor.external === undefined) expect(tensor).toBe(model.graph.initializers.get(name))
    }
  })

  test('serve the same numbers, also from a file behind a link, as in the cache of Hugging Face', async () => {
    await using directory = await tinyModelDirectory(DECODER)
    const linked = await mkdtemp(join(tmpdir(), 'circadian-links-'))
    await mkdir(join(linked, 'onnx'))
    await symlink(join(directory.path, 'onnx/model.onnx'), join(linked, 'onnx/model.onnx'))
    const { config, sizes } = await loadModelDirectory(directory.path)
    const request = {
      past: null,
      input: [1, 9, 20, 33],
      decode: { temperature: 0, seed: 0, maxNewTokens: 12, latents: 12 },
      keepCache: false,
      signal: new AbortController().signal,
    }
    // Here the weights are inside the compiled graphs.
    const inline = await tinySessions({ decoder: DECODER })
    const expected = await inline.scheduler.submit(request)
    for (const folder of [directory.path, linked]) {
      const graphs = await loadGraphs(
        {
          graphFile: join(folder, 'onnx/model.onnx'),
          config,
          sizes,
          executionProvider: 'cpu',
          cudaDevice: 0,
          threads: 1,
          replicas: 1,
        },
        'cpu',
      )
      const limits = { maxRunningRows: 4, chunkTokens: [8, 8], runMs: 0, maxInputTokens: 64 } as const
      const { eosTokenIds } = sizes
      const result = await createScheduler({ runner: graphs.generation, eosTokenIds, limits }).submit(request)
      expect(result.tokens).toEqual(expected.tokens)
      expect(result.hiddenStates).toEqual(expected.hiddenStates)
    }
    await rm(linked, { recursive: true })
  })
})
