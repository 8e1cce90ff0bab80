/**
 * @file The choice of the next token alone, in large vocabularies on the CPU: argmax, the sampler, and the
 * inverse CDF over the whole vocabulary that it replaced. The candidates alternate in one process, because the
 * machine is seldom quiet.
 */

import { availableParallelism, loadavg } from 'node:os'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { createModel, createTape, DATA_TYPES, encodeModel, int, type Tape, value } from '#onnx'
import { createRandom, float32, int64 } from '#tensor'
import { emitArgmax, emitNextToken, MAX_CANDIDATES } from '../../src/decoder/sample-tokens.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'

const VOCABULARIES = [49_152, 151_936]
/** Distinct tokens that a repetition penalty applies to. */
const SEEN = 1000

const FEEDS = ['temperature', 'uniforms', 'top_k', 'top_p', 'min_p', 'repetition_penalty', 'seen_tokens']

type Emit = (tape: Tape, vocabularySize: number) => string

const inputs = {
  temperature: 'temperature',
  uniforms: 'uniforms',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
  seenTokens: 'seen_tokens',
}

function emitSampler(tape: Tape, vocabularySize: number, isPenalised: boolean): string {
  const above = (name: string, least: number) => {
    const isAbove = tape.op('Cast', [tape.op('Greater', [name, tape.constant(float32(least))])], {
      to: int(DATA_TYPES.int64),
    })
    return tape.op('Cast', [tape.op('ReduceSum', [isAbove], { keepdims: int(0) })], {
      to: int(DATA_TYPES.bool),
    })
  }
  const anySampled = above('temperature', 0)
  const anyPenalised = above('repetition_penalty', isPenalised ? 1 : Number.MAX_VALUE)
  return emitNextToken(tape, 'logits', { ...inputs, vocabularySize, anySampled, anyPenalised })
}

/** Emits the replaced sampler: softmax and CDF over the whole vocabulary, in fp64. */
function emitWholeCdf(tape: Tape): string {
  const toDouble = (name: string) => tape.op('Cast', [name], { to: int(DATA_TYPES.float64) })
  const last = tape.constant(int64([-1]))
  const column = tape.op('Unsqueeze', ['temperature', last])
  const probabilities = tape.op('Softmax', [tape.op('Div', ['logits', column])], { axis: int(-1) })
  const cumulated = tape.op('CumSum', [toDouble(probabilities), tape.constant(int64(-1))])
  const total = tape.op('Gather', [cumulated, tape.constant(int64(-1))], { axis: int(-1) })
  const level = tape.op('Unsqueeze', [tape.op('Mul', [toDouble('uniforms'), total]), last])
  const passed = tape.op('Cast', [tape.op('LessOrEqual', [cumulated, level])], { to: int(DATA_TYPES.int64) })
  return tape.op('ReduceSum', [passed, last], { keepdims: int(0) })
}

const CANDIDATES: Readonly<Record<string, Emit>> = {
  argmax: (tape) => emitArgmax(tape, 'logits'),
  'whole CDF': emitWholeCdf,
  sampler: (tape, vocabularySize) => emitSampler(tape, vocabularySize, false),
  'with penalty': (tape, vocabularySize) => emitSampler(tape, vocabularySize, true),
}

async function load(emit: Emit, vocabularySize: number): Promise<InferenceSession> {
  const tape = createTape(['logits', ...FEEDS])
  const tokens = emit(tape, vocabularySize)
  const integers = new Set(['top_k', 'seen_tokens'])
  const graph = tape.graph({
    name: 'sampling',
    inputs: [
      value('logits', 'float32', ['B', vocabularySize]),
      ...FEEDS.map((name) =>
        value(name, integers.has(name) ? 'int64' : 'float32', name === 'seen_tokens' ? ['B', 'N'] : ['B']),
      ),
    ],
    outputs: [value(tokens, 'int64', ['B'])],
  })
  return InferenceSession.create(encodeModel(createModel(graph, { '': 21 })), {
    intraOpNumThreads: availableParallelism(),
  })
}

function feedsOf(rows: number, vocabularySize: number): Record<string, Tensor> {
  const random = createRandom(rows)
  const floats = (count: number, of: (index: number) => number, shape: number[]) =>
    new Tensor(
      'float32',
      Float32Array.from({ length: count }, (_, index) => of(index)),
      shape,
    )
  const integers = (count: number, of: (index: number) => number, shape: number[]) =>
    new Tensor(
      'int64',
      BigInt64Array.from({ length: count }, (_, index) => BigInt(of(index))),
      shape,
    )
  return {
    logits: floats(rows * vocabularySize, () => 3 * random.gaussian(), [rows, vocabularySize]),
    temperature: floats(rows, () => 1, [rows]),
    uniforms: floats(rows, () => random.uniform(), [rows]),
    top_k: integers(rows, () => MAX_CANDIDATES, [rows]),
    top_p: floats(rows, () => 0.9, [rows]),
    min_p: floats(rows, () => 0.01, [rows]),
    repetition_penalty: floats(rows, () => 1.1, [rows]),
    seen_tokens: integers(rows * SEEN, () => Math.floor(random.uniform() * vocabularySize), [rows, SEEN]),
  }
}

/** Measures ms per token and row: median and least of `repeats` runs of each candidate, which alternate. */
export async function measureSampling({ repeats }: { readonly repeats: number }) {
  const names = Object.keys(CANDIDATES)
  const rows = []
  for (const vocabularySize of VOCABULARIES) {
    const sessions = await Promise.all(Object.values(CANDIDATES).map((emit) => load(emit, vocabularySize)))
    for (const count of [1, 8]) {
      const feeds = feedsOf(count, vocabularySize)
      const times = names.map((): number[] => [])
      for (let repeat = -2; repeat < repeats; repeat++) {
        for (const [index, session] of sessions.entries()) {
          const fed = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]))
          const startedAt = performance.now()
          await session.run(fed)
          if (repeat >= 0) times[index]!.push((performance.now() - startedAt) / count)
        }
      }
      rows.push(
        ...names.map((name, index) => [
          vocabularySize,
          count,
          name,
          quantile(times[index]!, 0.5),
          Math.min(...times[index]!),
        ]),
      )
    }
    await Promise.all(sessions.map((session) => session.release()))
  }
  const load1 = loadavg()[0]!
  printTable(
    `Choice of a token: ms per token and row, ${repeats} runs each, ${availableParallelism()} threads, load ${load1.toFixed(1)}`,
    ['vocabulary', 'rows', 'choice', 'median', 'least'],
    rows,
  )
  return rows.map(([vocabularySize, count, choice, median, least]) => ({
    vocabularySize,
    rows: count,
    choice,
    median,
    least,
  }))
}
