/** @file Share of each kind of operator in one of our decoding steps, by ONNX Runtime's own profile. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { compileGeneration, describeDecoder, findOneTokenAttentions } from '#decoder'
import { createGenerationGraph } from '../../src/engine/child/generation-graph.ts'
import { allocateFresh, type KvLayout } from '../../src/engine/child/key-values.ts'
import { externalizeInitializers } from '../../src/engine/child/load-graphs.ts'
import { createSession } from '../../src/engine/child/onnx-runtime.ts'
import { composeFeeds, type StepRow } from '../../src/engine/child/step-batch.ts'
import { readStepGraph, withReadableHead } from '../../src/engine/read-graph.ts'
import { type ProfiledNode, readProfile } from '../../test/support/ort-profile.ts'

interface ProfiledCase {
  readonly rows: number
  /** Positions in the caches before the first step. */
  readonly past: number
}

export interface StepProfile extends ProfiledCase {
  /** Mean time of a step. */
  readonly msPerStep: number
  /** Share of that time by group; the shares sum up to 1. */
  readonly shares: Readonly<Record<Group, number>>
}

export const GROUPS = [
  'products of the layers',
  'LM head',
  'attention',
  'normalisation',
  'choice of the token',
  'other operators',
  'between operators',
] as const
type Group = (typeof GROUPS)[number]

/** Equal runs of each case, of which all but the first count. */
const RUNS = 3

const PRODUCTS = new Set(['MatMulNBits', 'MatMul', 'Gemm', 'FusedMatMul'])

export interface ProfileOptions {
  readonly graphFile: string
  /** `config.json` of the model. */
  readonly config: Readonly<Record<string, unknown>>
  readonly threads: number
  readonly cases: readonly ProfiledCase[]
  readonly steps: number
}

/** Decodes `steps` greedy tokens per case, on caches of artificial numbers, which take as long as real ones. */
export async function profileSteps({
  graphFile,
  config,
  ...options
}: ProfileOptions): Promise<StepProfile[]> {
  const { threads, cases, steps } = options
  const { model: exported, bytes } = await readStepGraph(graphFile)
  const readable = withReadableHead(exported, graphFile)
  const model = externalizeInitializers(readable, bytes, basename(graphFile))
  const description = describeDecoder(model, config)
  const { layers, keyValueHeads: heads, headSize, dtype: type, padding, vocabularySize } = description
  const layout = { layers, heads, headSize, type }
  const attentions = findOneTokenAttentions(model.graph, description)
  const graph = compileGeneration(model, description, attentions)
  const folder = await mkdtemp(join(tmpdir(), 'circadian-profile-'))
  try {
    const profiles: StepProfile[] = []
    for (const [index, { rows, past }] of cases.entries()) {
      const profile = join(folder, `${index}-`)
      const session = await createSession(graph, {
        provider: 'cpu',
        cudaDevice: 0,
        threads,
        dataFolder: dirname(graphFile),
        profile,
      })
      const runner = createGenerationGraph(session, {
        layout,
        padding,
        keepsPast: attentions !== null,
        maxWidth: null,
        hiddenSize: description.hiddenSize,
        thoughtLayers: description.layerStates?.length ?? 0,
        eosTokenIds: [],
        padTokenId: 0,
      })
      const feeds = composeFeeds(runner, stepRows(layout, rows, past, steps), steps, allocateFresh(layout))
      // The first run loads the weights.
      for (let run = 0; run < RUNS; run++) {
        await runner.run(feeds, { hiddenStates: false, thoughtSums: false, signals: false, present: true })
      }
      session.endProfiling()
      await session.release()
      profiles.push({ rows, past, ...(await summarise(profile, 4 * rows * vocabularySize, steps)) })
    }
    return profiles
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function stepRows(layout: KvLayout, rows: number, past: number, remaining: number): StepRow[] {
  const size = rows * layout.heads * past * layout.headSize
  // Zeros in half precision, whose bits are no numbers to JavaScript.
  const numbers =
    layout.type === 'float16'
      ? new Uint16Array(size)
      : Float32Array.from({ length: size }, (_, index) => Math.sin(index) / 2)
  const block = { arrays: Array.from({ length: 2 * layout.layers }, () => numbers), rows, length: past }
  return Array.from({ length: rows }, (_, row) => ({
    past: { block, row, spans: [[0, past]] },
    input: [row + 1],
    temperature: 0,
    remaining,
    uniforms: null,
    thoughtFrom: null,
  }))
}

/** Returns the attention of one token in plain operators: each is one If (`findOneTokenAttentions`). */
function attentionsOf(nodes: readonly ProfiledNode[]): readonly ProfiledNode[] {
  const products = nodes.filter(({ opType }) => opType === 'FusedMatMul')
  return nodes.filter((node) => node.opType === 'If' && products.some((product) => contains(node, product)))
}

function contains(outer: ProfiledNode, inner: ProfiledNode): boolean {
  const end = (node: ProfiledNode) => node.startedAt + node.microseconds
  return inner.startedAt >= outer.startedAt && end(inner) <= end(outer)
}

/** @param logitsBytes size of the logits of a step, by which the product of the LM head is recognised */
async function summarise(
  profile: string,
  logitsBytes: number,
  steps: number,
): Promise<Pick<StepProfile, 'msPerStep' | 'shares'>> {
  const all = await readProfile(profile)
  const nodes = all.slice(all.length / RUNS)
  const sum = (wanted: typeof nodes) => wanted.reduce((total, { microseconds }) => total + microseconds, 0)
  // The time of a Loop or an If contains that of the operators inside.
  const attentions = attentionsOf(nodes)
  const inside = nodes.filter(
    (node) =>
      node.opType !== 'Loop' &&
      (node.opType !== 'If' || attentions.includes(node)) &&
      !attentions.some((attention) => node !== attention && contains(attention, node)),
  )
  const total = sum(nodes.filter(({ opType }) => opType === 'Loop'))
  const groups = Map.groupBy(inside, ({ opType, outputBytes }): Group => {
    if (PRODUCTS.has(opType)) return outputBytes === logitsBytes ? 'LM head' : 'products of the layers'
    if (opType.endsWith('Attention') || opType === 'If') return 'attention'
    if (opType.endsWith('LayerNormalization') || opType.endsWith('RMSNormalization')) return 'normalisation'
    return opType === 'ArgMax' || opType === 'TopK' ? 'choice of the token' : 'other operators'
  })
  const shares = GROUPS.map((group) => [group, sum(groups.get(group) ?? []) / total] as const)
  const between = 1 - shares.reduce((all, [, share]) => all + share, 0)
  return {
    msPerStep: total / (RUNS - 1) / steps / 1000,
    shares: { ...Object.fromEntries(shares), 'between operators': between } as Record<Group, number>,
  }
}
