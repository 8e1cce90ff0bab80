/**
 * @file Bench of decoding on a real model: this engine, onnxruntime-genai on the same ONNX files, and llama.cpp
 * on a GGUF file of the model, in one run.
 *
 * `npm run bench:decode-speed -- --model DIR [--genai-python PY --genai DIR] [--llama PY --gguf FILE]
 * [--rows 1,4,8,16] [--rounds 6] [--tokens 64] [--prompt-tokens 64] [--threads 2] [--parts speed,profile]
 * [--json FILE]`
 *
 * `--genai` names a folder of onnxruntime-genai's model builder with the same model.onnx, `--llama` a Python that
 * has llama-cpp-python. A side that is not named or not installed is skipped and reported. Every round measures
 * all sides in turn, in another order each time; one more round warms up.
 */

import { parseArgs } from 'node:util'
import { loadModelDirectory } from '#engine'
import { describeMachine } from '#evaluation'
import { GROUPS, profileSteps } from './decode-speed/profile.ts'
import {
  type OurSide,
  type Side,
  startGenai,
  startLlama,
  startOurs,
  type Tokens,
} from './decode-speed/sides.ts'
import { progress } from './report/progress.ts'
import { type Measurement, writeRecords } from './report/records.ts'
import { mean, quantile } from './report/statistics.ts'
import { type Cell, printTable } from './report/table.ts'
import { peakMemoryMiB } from './training/peak-memory.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'genai-python': { type: 'string' },
    genai: { type: 'string' },
    llama: { type: 'string' },
    gguf: { type: 'string' },
    rows: { type: 'string', default: '1,4,8,16' },
    rounds: { type: 'string', default: '6' },
    tokens: { type: 'string', default: '64' },
    'prompt-tokens': { type: 'string', default: '64' },
    threads: { type: 'string', default: '2' },
    parts: { type: 'string', default: 'speed,profile' },
    json: { type: 'string' },
  },
})
if (values.model === undefined) throw new Error('--model: expected a model directory, got none')
const directory = values.model
const rowCounts = values.rows.split(',').map(Number)
const [rounds, tokens, promptTokens, threads] = [
  values.rounds,
  values.tokens,
  values['prompt-tokens'],
  values.threads,
].map(Number) as [number, number, number, number]
/** Steps of a profiled run. */
const PROFILED_STEPS = 8
const PROFILED_CASES = [1, 16].flatMap((rows) => [64, 512].map((past) => ({ rows, past })))

/** One measurement of one side. */
interface Sample {
  readonly side: string
  readonly round: number
  readonly rows: number
  /** New tokens of all rows by the seconds of their steps. */
  readonly tokensPerSecond: number
  /** Prompt tokens of all rows by the seconds until their caches were there. */
  readonly prefillPerSecond: number
  /** Share of the rows with the same tokens as ours in this round. */
  readonly sameRows: number
}

const machine = describeMachine()
console.log(`# Decoding, measured\n\n${JSON.stringify(machine)}`)
const measured: Measurement[] = []
for (const part of values.parts.split(',')) {
  if (part === 'speed') measured.push(...(await measureSpeed()))
  else if (part === 'profile') measured.push(...(await measureProfile()))
  else throw new Error(`--parts: expected some of speed, profile, got ${part}`)
}
if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'decode-speed', machine, seeds: [] }, measured)
}
// ONNX Runtime sessions of this process stay open and would keep it alive.
process.exit(0)

async function measureSpeed(): Promise<Measurement[]> {
  await using started = new AsyncDisposableStack()
  const ours = started.adopt(await startOurs(directory, threads), (side) => side.close())
  progress('started ours')
  const sides: Side[] = [ours]
  for (const peer of await startPeers()) sides.push(started.adopt(peer, (side) => side.close()))

  const samples: Sample[] = []
  for (let round = 0; round <= rounds; round++) {
    for (const rows of rowCounts) {
      const prompts = promptsOf(ours, round, rows)
      // Each side comes first, second, ... in turn.
      const order = sides.map((_, index) => sides[(index + round) % sides.length]!)
      const found = new Map<string, Omit<Sample, 'sameRows'> & { readonly tokens: readonly Tokens[] }>()
      for (const side of order) {
        const decoded = await side.decode(prompts, tokens)
        checkLengths(side, decoded.tokens)
        found.set(side.name, {
          side: side.name,
          round,
          rows,
          tokensPerSecond: (rows * tokens) / decoded.decodeSeconds,
          prefillPerSecond: (rows * promptTokens) / decoded.prefillSeconds,
          tokens: decoded.tokens,
        })
      }
      const expected = found.get(ours.name)!.tokens
      for (const { tokens: got, ...sample } of found.values()) {
        // The first round warms up.
        if (round > 0) samples.push({ ...sample, sameRows: shareOfSame(got, expected) })
      }
    }
    progress(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`)
  }
  return [...reportSpeed(sides, samples), ...reportSides(sides)]
}

async function startPeers(): Promise<Side[]> {
  const { 'genai-python': genaiPython, genai, llama, gguf } = values
  const peers: Side[] = []
  const add = (name: string, options: string, peer: Side | null) => {
    if (peer) peers.push(peer)
    else
      console.log(
        `\n**NOT COMPARED WITH ${name}: name a Python that has it, and its model, with ${options}.**`,
      )
  }
  add(
    'onnxruntime-genai',
    '--genai-python and --genai',
    genaiPython !== undefined && genai !== undefined ? await startGenai(genaiPython, genai, threads) : null,
  )
  const capacity = { rows: Math.max(...rowCounts), tokens: promptTokens + tokens + 1 }
  add(
    'llama.cpp',
    '--llama and --gguf',
    llama !== undefined && gguf !== undefined ? await startLlama(llama, gguf, threads, capacity) : null,
  )
  return peers
}

/**
 * Prompts of exactly `promptTokens` tokens that models go on counting after; no prompt comes twice, because the
 * engine's prefix cache would recognise it.
 */
function promptsOf({ codec }: OurSide, round: number, rows: number): Tokens[] {
  return Array.from({ length: rows }, (_, row) => {
    const first = 1000 + 100 * (4 * round + rowCounts.indexOf(rows)) + row
    const numbers = Array.from({ length: promptTokens }, (_, index) => first + index)
    return codec.encode(numbers.join(' ')).slice(0, promptTokens)
  })
}

function shareOfSame(found: readonly Tokens[], expected: readonly Tokens[]): number {
  return found.filter((row, index) => row.join() === expected[index]!.join()).length / found.length
}

function checkLengths({ name }: Side, found: readonly Tokens[]): void {
  const short = found.find((row) => row.length !== tokens)
  if (!short) return
  throw new Error(`${name}: expected ${tokens} new tokens in every row, got ${short.length}; ask for fewer`)
}

function reportSpeed(sides: readonly Side[], samples: readonly Sample[]): Measurement[] {
  const of = (name: string, rows: number) =>
    samples.filter((sample) => sample.side === name && sample.rows === rows)
  const [ours] = sides as [Side]
  const cases = rowCounts.flatMap((rows) => sides.map((side) => ({ rows, side })))
  const figures = cases.map(({ rows, side }) => {
    const own = of(side.name, rows)
    const rates = own.map(({ tokensPerSecond }) => tokensPerSecond)
    // Ours by theirs, round by round, so that other load falls on both.
    const ratios = of(ours.name, rows).map(({ tokensPerSecond }, index) => tokensPerSecond / rates[index]!)
    return {
      tokensPerSecond: quantile(rates, 0.5),
      least: Math.min(...rates),
      greatest: Math.max(...rates),
      ratio: side === ours ? null : quantile(ratios, 0.5),
      leastRatio: side === ours ? null : Math.min(...ratios),
      greatestRatio: side === ours ? null : Math.max(...ratios),
      prefillPerSecond: quantile(
        own.map(({ prefillPerSecond }) => prefillPerSecond),
        0.5,
      ),
      sameTokens: mean(own.map(({ sameRows }) => sameRows)),
    }
  })
  const cell = (value: number | null): Cell => value ?? '-'
  printTable(
    `Decoding: tokens/s of all rows, ${threads} threads, ${promptTokens} prompt and ${tokens} new tokens a row, ${rounds} rounds`,
    [
      'rows',
      'side',
      'median',
      'least',
      'greatest',
      'ours / theirs',
      'least',
      'greatest',
      'prefill',
      'same tokens',
    ],
    cases.map(({ rows, side }, index) => {
      const { tokensPerSecond, least, greatest, ratio, leastRatio, greatestRatio, ...rest } = figures[index]!
      return [
        rows,
        side.name,
        tokensPerSecond,
        least,
        greatest,
        cell(ratio),
        cell(leastRatio),
        cell(greatestRatio),
        rest.prefillPerSecond,
        rest.sameTokens,
      ]
    }),
  )
  return cases.map(({ rows, side }, index) => ({
    part: 'speed',
    case: { rows, side: side.name },
    n: rounds,
    figures: figures[index]!,
    ...(index === 0 && { settings: { threads, promptTokens, tokens } }),
  }))
}

function reportSides(sides: readonly Side[]): Measurement[] {
  const figures = sides.map(({ version, pid, loadSeconds }) => ({
    version,
    loadSeconds,
    peakMiB: peakMemoryMiB(pid),
  }))
  printTable(
    'The processes: seconds to load, and peak memory over the whole run',
    ['side', 'version', 'seconds', 'peak MiB'],
    sides.map(({ name }, index) => {
      const { version, loadSeconds, peakMiB } = figures[index]!
      return [name, version, loadSeconds, peakMiB]
    }),
  )
  return sides.map(({ name }, index) => ({
    part: 'processes',
    case: { side: name },
    n: null,
    figures: figures[index]!,
  }))
}

async function measureProfile(): Promise<Measurement[]> {
  const { graphFile, config } = await loadModelDirectory(directory)
  const profiles = await profileSteps({
    graphFile,
    config,
    threads,
    cases: PROFILED_CASES,
    steps: PROFILED_STEPS,
  })
  printTable(
    `A decoding step of ours: share of the time by operator, ${threads} threads`,
    ['rows', 'past', 'ms', ...GROUPS],
    profiles.map(({ rows, past, msPerStep, shares }) => [
      rows,
      past,
      msPerStep,
      ...GROUPS.map((group) => shares[group]),
    ]),
  )
  return profiles.map(({ rows, past, msPerStep, shares }) => ({
    part: 'profile',
    case: { rows, past },
    n: PROFILED_STEPS,
    figures: { msPerStep, ...shares },
  }))
}
