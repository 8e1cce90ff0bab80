/** @file Text of a model report for a terminal. */

import type { ModelFacts, ModelReport, ModelRun } from './model-report.ts'

/** Upper bound on the characters of the rendered prompt. */
const MAX_PROMPT_CHARACTERS = 600

/** Returns the report as lines `name  value`, and its faults or the verdict at the end. */
export function formatReport({ directory, model, run, faults }: ModelReport): string {
  const rows: (readonly [name: string, value: string])[] = [
    ['directory', directory],
    ...(model === null ? [] : rowsOf(model)),
    ...(run === null ? [] : runRows(run)),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  const verdict =
    faults.length === 0 ? ['can be served'] : ['cannot be served:', ...faults.map((fault) => `- ${fault}`)]
  return [...lines, '', ...verdict].join('\n')
}

function rowsOf(model: ModelFacts): (readonly [string, string])[] {
  const { head, tokenizer, layers, core, externalData } = model
  const layout =
    model.layout === 'hub' ? 'Hugging Face (graphs in onnx/)' : "an exporter's (graph beside config)"
  const states =
    model.layerStates === 0
      ? 'none: serves without latent thoughts'
      : core
        ? `${model.layerStates}: after each recurrence of the core`
        : `${model.layerStates}: the inputs of ${layers} layers and of the LM head`
  return [
    ['layout', layout],
    ['files', model.files.map(({ path, bytes }) => `${path} (${formatBytes(bytes)})`).join(', ')],
    ['fingerprint', model.fingerprint],
    ['graph', model.graph],
    ['external data', externalData.length === 0 ? 'none' : externalData.join(', ')],
    ['inputs', shortened(model.inputs)],
    ['outputs', shortened(model.outputs)],
    ['LM head', `${head.kind}, ${head.dtype}, ${head.hiddenSize} x ${head.vocabularySize}`],
    ['layer states', states],
    ['cache', cacheText(model)],
    ['padding', PADDINGS[model.padding]],
    ['context', `${model.contextLength} tokens`],
    ['tokenizer', `ends at ${tokenizer.eosTokenIds.join(', ')}; pads with ${tokenizer.padTokenId}`],
    ['prompt', `${JSON.stringify(cut(model.prompt.text))} (${model.prompt.tokens} tokens)`],
    ...memoryRows(model),
    ['profile', model.profileSource === 'default' ? 'made by default' : model.profileSource],
    ...model.notes.map((note) => ['note', note] as const),
  ]
}

function cacheText({ cache, layers, core }: ModelFacts): string {
  const { heads, headSize, dtype } = cache
  const of = (count: string) => `${count} layers x ${heads} heads x ${headSize} x 2, ${dtype}`
  if (core === null) return of(`${layers}`)
  return of(`(${layers - core.layers} + ${core.layers} in the core x ${core.maxSteps} recurrences)`)
}

const PADDINGS: Readonly<Record<ModelFacts['padding'], string>> = {
  any: 'any: the mask decides',
  right: 'right (GroupQueryAttention)',
  equal: 'none: only rows of equal length share a run',
}

function memoryRows({ memory, weightBytes, cache }: ModelFacts): (readonly [string, string])[] {
  const weights = formatBytes(weightBytes)
  return memory.map(({ rows, tokens, bytes }) => [
    `memory of ${rows} x ${tokens}`,
    `${formatBytes(bytes)} = ${weights} of weights + ${rows} rows x ${tokens} tokens x ${cache.bytesPerPosition} B`,
  ])
}

function runRows(run: ModelRun): (readonly [string, string])[] {
  return [
    ['provider', run.providerReason.replace('execution provider ', '') || run.provider],
    ['loaded in', `${run.loadMs} ms, every graph run once`],
    ['decoded', `${run.tokens} tokens in ${run.decodeMs} ms: ${JSON.stringify(run.text)}`],
  ]
}

/** Returns the first names, and the last with the number of all. */
function shortened(names: readonly string[]): string {
  if (names.length <= 6) return names.join(', ')
  return `${names.slice(0, 5).join(', ')}, ..., ${names.at(-1)} (${names.length})`
}

function cut(text: string): string {
  return text.length <= MAX_PROMPT_CHARACTERS ? text : `${text.slice(0, MAX_PROMPT_CHARACTERS)}...`
}

/** Returns bytes in the largest unit in which they are at least 1. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${step === 0 ? bytes : (bytes / 2 ** (10 * step)).toFixed(1)} ${units[step]}`
}
