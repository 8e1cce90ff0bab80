/**
 * @file The compiled generation graph on ONNX Runtime: turns the feeds of a batch into tensors and the
 * outputs of a run into fetches.
 */

import { type Padding, scoredLayers } from '#decoder'
import { bool, createTensor, int64, type Tensor } from '#tensor'
import { headsOf, type KvArray, type KvBlock, type KvLayout } from './key-values.ts'
import type { Feeds, Session } from './onnx-runtime.ts'
import { recurrenceFeeds } from './recurrent-rows.ts'
import type { StepFeeds, StepRunner } from './step-batch.ts'
import { tokenMapFeeds } from './token-traces.ts'

/** Wraps a session of a graph that was compiled by `compileGeneration`. */
export function createGenerationGraph(
  session: Session,
  model: {
    readonly layout: KvLayout
    readonly padding: Padding
    /** See `CacheRules`. */
    readonly keepsPast: boolean
    /** See `DecoderDescription`. */
    readonly maxWidth: number | null
    readonly hiddenSize: number
    /** 0 for a graph without thoughts. */
    readonly thoughtLayers: number
    /** Of a depth-recurrent model; null by default. */
    readonly core?: StepRunner['core']
    readonly eosTokenIds: readonly number[]
    readonly padTokenId: number
  },
): StepRunner {
  const { layout, padding, keepsPast, maxWidth, hiddenSize, thoughtLayers, core = null } = model
  const pastNames = cacheNames('past_key_values', layout)
  const recentNames = keepsPast ? cacheNames('recent_key_values', layout) : []
  const presentNames = cacheNames('present', layout)
  const tokenWidth = scoredLayers(thoughtLayers).length * hiddenSize
  const constants: Feeds = { eos_token_ids: int64(model.eosTokenIds), pad_token_id: int64(model.padTokenId) }
  return {
    layout,
    padding,
    keepsPast,
    maxWidth,
    hiddenSize,
    thoughtLayers,
    core,
    async run(feeds, fetch) {
      const fetches = [
        'tokens',
        ...(fetch.hiddenStates ? ['hidden_states'] : []),
        ...(fetch.thoughtSums ? ['thought_sums', 'last_states', 'gated_sums'] : []),
        ...(fetch.tokenStates ? ['token_states'] : []),
        ...(fetch.signals ? ['token_signals'] : []),
        ...(core ? ['recurrences_taken'] : []),
        ...(fetch.present ? presentNames : []),
      ]
      const own = {
        with_signals: bool(fetch.signals),
        with_thoughts: bool(fetch.thoughtSums),
        ...cacheFeeds(feeds.past, pastNames, layout),
        ...cacheFeeds(feeds.recent, recentNames, layout),
        ...stepFeeds(feeds),
        ...(feeds.recurrence && recurrenceFeeds(feeds.recurrence, feeds)),
        ...tokenMapFeeds(feeds.tokenMaps, tokenWidth),
      }
      const fetched = await session.run({ ...constants, ...own }, fetches)
      const numbers = (name: string) => fetched[name]!.data as Float32Array
      const tokens = fetched['tokens']!
      return {
        tokens: tokens.data as BigInt64Array,
        emitted: tokens.shape[0]!,
        hiddenStates: fetch.hiddenStates ? numbers('hidden_states') : null,
        thoughtSums: fetch.thoughtSums ? numbers('thought_sums') : null,
        traces: fetch.thoughtSums
          ? {
              lastStates: numbers('last_states'),
              gatedSums: numbers('gated_sums'),
              states: fetch.tokenStates ? numbers('token_states') : null,
            }
          : null,
        signals: fetch.signals ? numbers('token_signals') : null,
        recurrences: core ? (fetched['recurrences_taken']!.data as BigInt64Array) : null,
        present: fetch.present
          ? blockOf(
              presentNames.map((name) => fetched[name]!),
              feeds.isPastKept,
            )
          : null,
      }
    },
  }
}

function cacheNames(stem: string, { layers }: KvLayout): string[] {
  return Array.from({ length: layers }, (_, layer) => [
    `${stem}.${layer}.key`,
    `${stem}.${layer}.value`,
  ]).flat()
}

function cacheFeeds(block: KvBlock, names: readonly string[], layout: KvLayout): Feeds {
  const shapeOf = (index: number) => [block.rows, headsOf(layout, index >> 1), block.length, layout.headSize]
  return Object.fromEntries(
    names.map((name, index) => [name, createTensor(layout.type, shapeOf(index), block.arrays[index]!)]),
  )
}

function stepFeeds(feeds: StepFeeds): Feeds {
  const { rows, inputLength, past, recent } = feeds
  return {
    steps: int64(feeds.steps),
    input_ids: createTensor('int64', [rows, inputLength], feeds.inputIds),
    attention_mask: createTensor(
      'int64',
      [rows, past.length + recent.length + inputLength],
      feeds.attentionMask,
    ),
    position_ids: createTensor('int64', [rows, inputLength], feeds.positionIds),
    last_index: createTensor('int64', [rows], feeds.lastIndex),
    uniforms: createTensor('float32', [feeds.steps, rows], feeds.uniforms),
    temperature: createTensor('float32', [rows], feeds.temperature),
    top_k: createTensor('int64', [rows], feeds.topK),
    top_p: createTensor('float32', [rows], feeds.topP),
    min_p: createTensor('float32', [rows], feeds.minP),
    repetition_penalty: createTensor('float32', [rows], feeds.repetitionPenalty),
    seen_tokens: createTensor('int64', [rows, feeds.seenTokens.length / rows], feeds.seenTokens),
    finished: createTensor('bool', [rows], feeds.finished),
    remaining: createTensor('int64', [rows], feeds.remaining),
    thought_weights: createTensor('float32', [rows, inputLength], feeds.thoughtWeights),
  }
}

function blockOf(present: readonly Tensor[], isRecent: boolean): KvBlock {
  const [rows, , length] = present[0]!.shape
  return { arrays: present.map(({ data }) => data as KvArray), rows: rows!, length: length!, isRecent }
}
