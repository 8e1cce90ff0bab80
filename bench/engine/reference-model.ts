/**
 * @file A decoder without key/value cache, as the published LatentSeek code runs it: the whole sequence goes
 * through the model for every token, one sequence at a time. ONNX Runtime, weights and head graphs are those
 * of the engine.
 */

import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import type { ModelDirectory } from '#engine'
import { allNames, createTape, decodeModel, encodeModel, type Model, replaceAllUsesWith, value } from '#onnx'
import { createTensor, int64 } from '#tensor'
import { createHeadGraph, type HeadGraph } from '../../src/engine/child/head-graph.ts'
import { createSession } from '../../src/engine/child/onnx-runtime.ts'

export interface ReferenceModel {
  readonly head: HeadGraph
  readonly hiddenSize: number
  /** Runs the whole sequence. @returns logits `[V]` and final hidden state `[D]` of its last position */
  forward(tokens: readonly number[]): Promise<{ logits: Float32Array; hidden: Float32Array }>
}

/**
 * Loads the step graph as exported, with one cut: the head sees only the last position, as in the published
 * code. (The export would compute `[S, V]` logits in vain, and Node would copy them.)
 */
export async function loadReference(
  { graphFile, config }: ModelDirectory,
  threads: number,
): Promise<ReferenceModel> {
  const model = decodeModel(await readFile(graphFile))
  const description = describeDecoder(model, config)
  const { keyValueHeads, headSize, hiddenSize, inputs } = description
  const load = (graph: Uint8Array) =>
    createSession(graph, { provider: 'cpu', cudaDevice: 0, threads, dataFolder: dirname(graphFile) })
  const session = await load(encodeModel(headAtLastPosition(model, description.head.hidden)))
  const step = await load(compileHead(model, description))
  const logits = await load(compileHeadLogits(model, description))
  const noCache = createTensor('float32', [1, keyValueHeads, 0, headSize], new Float32Array())
  const caches = Object.fromEntries(
    inputs.past.flatMap(({ key, value }) => [key, value]).map((name) => [name, noCache]),
  )
  return {
    head: createHeadGraph({ step, logits }, hiddenSize),
    hiddenSize,
    async forward(tokens) {
      const shape = [1, tokens.length]
      const row = (numbers: readonly number[]) =>
        createTensor('int64', shape, int64(numbers).data as BigInt64Array<ArrayBuffer>)
      const fetched = await session.run(
        {
          ...caches,
          input_ids: row(tokens),
          attention_mask: row(tokens.map(() => 1)),
          position_ids: row(tokens.map((_, index) => index)),
        },
        ['logits', LAST_HIDDEN],
      )
      return {
        logits: fetched.logits.data as Float32Array,
        hidden: fetched[LAST_HIDDEN].data as Float32Array,
      }
    },
  }
}

const LAST_HIDDEN = 'last_hidden'

/** Cuts the hidden states `[1, S, D]` to the last position before the head, and makes them an output. */
function headAtLastPosition(model: Model, hidden: string): Model {
  const { graph } = model
  const tape = createTape(allNames(graph))
  const bounds = [[-1], [Number.MAX_SAFE_INTEGER], [1]].map((bound) => tape.constant(int64(bound)))
  tape.outputs([LAST_HIDDEN], 'Slice', [hidden, ...bounds])
  const { nodes: [slice] = [], initializers } = tape.graph({ name: '', outputs: [] })
  const cut = replaceAllUsesWith(graph, hidden, LAST_HIDDEN)
  const at = cut.nodes.findIndex(({ outputs }) => outputs.includes(hidden))
  const logits = graph.outputs
    .filter(({ name }) => name === 'logits')
    .map(({ type }) => value('logits', 'float32', [1, 1, type?.shape?.at(-1) ?? null]))
  return {
    ...model,
    graph: {
      ...cut,
      nodes: cut.nodes.toSpliced(at + 1, 0, slice!),
      initializers: new Map([...graph.initializers, ...initializers]),
      outputs: [...logits, value(LAST_HIDDEN, 'float32')],
      valueInfo: [],
    },
  }
}
