/**
 * @file Runs the committed exports (test/fixtures/exports) on the real engine and solver, compares them with
 * their references, and writes the table of docs/models.md from the results.
 */

import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createEngine, type Engine } from '#engine'
import { ServiceError } from '#errors'
import type { AscentResult, GenerationRow, LatentHead } from '#ports'
import { createSolver, type Strategy } from '#solving'
import { createEpisodesInMemory } from './episodes-in-memory.ts'
import { headErrors } from './exported-head.ts'

const FOLDER = join(import.meta.dirname, '../fixtures/exports')

/** One entry of expected.json; make.py describes it. */
export interface Export {
  readonly family: string
  readonly exporter: string
  readonly dtype: string
  readonly reference: 'PyTorch' | 'ONNX Runtime'
  readonly runs: readonly Run[]
}

interface Run {
  readonly prompt: readonly number[]
  readonly tokens: readonly number[]
  /** Number of leading tokens without a near tie. */
  readonly sure: number
  /** State after the final norm at the prompt's last token, `[D]`; only of PyTorch. */
  readonly state?: readonly number[]
}

export const EXPORTS: Readonly<Record<string, Export>> = JSON.parse(
  await readFile(join(FOLDER, 'expected.json'), 'utf8'),
)

/** Result of serving one export. */
export type Outcome =
  | { readonly refusal: { readonly code: string; readonly message: string } }
  | {
      readonly refusal: null
      /** Greedy tokens of each prompt alone, and of all prompts together, equal the reference. */
      readonly alone: boolean
      readonly together: boolean
      /** Greatest difference of the latents of a batched row from those of the row alone, relative to their norm. */
      readonly batchError: number
      /** Greatest difference of the prompts' last states from PyTorch's, relative to their norm. */
      readonly stateError: number | null
      readonly thoughts: boolean
      /** One step of ascent, a sampled answer and a verdict ran, and the head decodes the draft's latents. */
      readonly searches: boolean
      /** Faults of the answers of each strategy; none when all is as it should be. */
      readonly strategies: Readonly<Record<(typeof TRIED_STRATEGIES)[number], readonly string[]>>
      /**
       * Greatest difference of the engine's logits after a prompt from those of the file, relative to the
       * greatest of those.
       */
      readonly logitError: number
      /** Greatest difference of the ascent's gradient from the closed form, relative to the greatest entry. */
      readonly gradientError: number
      readonly contextLength: number
    }

/** Strategies that answer a request on every served export. */
const TRIED_STRATEGIES = ['latentseek', 'lto', 'majority'] as const satisfies readonly Strategy[]

/** Number of tokens of the tokenizer; some exports have logits for more ids. */
const TOKENIZER_TOKENS = 320

const never = new AbortController().signal
const logger = pino({ level: 'silent' })

/** Returns the directory that a user gets: the exporter's output, and the tokenizer with a profile. */
async function exportDirectory(name: string) {
  const path = await mkdtemp(join(tmpdir(), 'circadian-export-'))
  await cp(join(FOLDER, 'tokenizer'), path, { recursive: true })
  await cp(join(FOLDER, name), path, { recursive: true })
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export async function serveExport(name: string): Promise<Outcome> {
  await using directory = await exportDirectory(name)
  let engine: Engine
  try {
    engine = await createEngine({
      directory: directory.path,
      executionProvider: 'cpu',
      cudaDevice: 0,
      threads: 1,
      logger,
    })
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown
    return { refusal: { code: thrown.code, message: thrown.message.replaceAll(directory.path, 'FOLDER') } }
  }
  try {
    return await measure(engine, EXPORTS[name]!, directory.path)
  } finally {
    await engine.close()
  }
}

async function measure(engine: Engine, { runs, reference }: Export, directory: string): Promise<Outcome> {
  // A graph may bound the context below the length of the longest prompts.
  const fitting = runs
    .filter(({ prompt }) => prompt.length < engine.contextLength)
    .map((run) => ({ ...run, sure: Math.min(run.sure, engine.contextLength - run.prompt.length) }))
  const decode = async (run: Run) => {
    const { tokens, latents } = await generate(engine, run.prompt, {
      maxNewTokens: run.tokens.length,
      latents: run.sure,
    })
    return { isRight: startsWith(tokens, run.tokens, run.sure), latents: latents.data }
  }
  // Nothing is cached at first; rows of unlike lengths start and end in one batch.
  const together = [...fitting, ...fitting.toReversed()]
  const first = await Promise.all(together.map(decode))
  const alone = new Map<Run, Awaited<ReturnType<typeof decode>>>()
  for (const run of fitting) alone.set(run, await decode(run))
  const again = await Promise.all(together.map(decode))
  const batched = [...first, ...again]
  return {
    refusal: null,
    alone: [...alone.values()].every(({ isRight }) => isRight),
    together: batched.every(({ isRight }) => isRight),
    batchError: Math.max(
      ...batched.map(({ latents }, index) =>
        relativeError(latents, alone.get(together[index % together.length]!)!.latents),
      ),
    ),
    stateError: reference === 'PyTorch' ? await worstState(engine, fitting) : null,
    ...(await search(engine, fitting[1]!)),
    strategies: {
      latentseek: await solveBy(engine, 'latentseek'),
      lto: await solveBy(engine, 'lto'),
      majority: await solveBy(engine, 'majority'),
    },
    ...(await compareHead(engine, fitting[1]!.prompt, directory)),
    contextLength: engine.contextLength,
  }
}

const startsWith = (tokens: readonly number[], expected: readonly number[], count: number) =>
  String(tokens.slice(0, count)) === String(expected.slice(0, count))

function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY
  const wanted = Array.from(expected)
  return Math.hypot(...wanted.map((value, index) => value - got[index]!)) / Math.hypot(...wanted)
}

async function generate(engine: Engine, prompt: readonly number[], row: Partial<GenerationRow>) {
  const session = await engine.open(prompt, { signal: never })
  try {
    const [answer] = await session.generate([
      { prefix: [], temperature: 0, seed: 0, maxNewTokens: 12, latents: 0, ...row },
    ])
    return answer!
  } finally {
    session.close()
  }
}

async function worstState(engine: Engine, runs: readonly Run[]): Promise<number> {
  const errors = runs.map(async ({ prompt, state }) => {
    const session = await engine.open(prompt, { signal: never })
    const got = await session.embed()
    session.close()
    return relativeError(got, state!)
  })
  return Math.max(...(await Promise.all(errors)))
}

/** Runs what searches need: latents, ascent, samples, verdict logits. */
async function search(engine: Engine, { prompt, sure }: Run) {
  const draft = await generate(engine, prompt, { latents: sure, maxNewTokens: sure, thought: true })
  const { latents, thought } = draft
  const decoded = await engine.head.decode(latents, never)
  const ascent = await engine.head.ascend(
    {
      latents,
      adam: { m: new Float32Array(latents.data.length), v: new Float32Array(latents.data.length), step: 0 },
      actions: [draft.tokens.slice(0, latents.length)],
      advantages: [-1],
      lr: 0.05,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      temperature: 1,
      maxSteps: 1,
      untilChanged: false,
    },
    never,
  )
  const moved = ascent.latents.data.some((value, index) => value !== latents.data[index])
  const session = await engine.open(prompt, { signal: never })
  const seeds = [1, 1, 2]
  const samples = await session.generate(
    seeds.map((seed) => ({ prefix: [], temperature: 1, seed, maxNewTokens: 4, latents: 0 })),
  )
  const [verdict] = await session.score([{ sequence: session.prompt, suffix: [9, 8] }], [5, 6])
  session.close()
  return {
    thoughts:
      thought !== null && thought.layers === engine.thoughtLayers && thought.data.every(Number.isFinite),
    searches:
      String(decoded) === String(draft.tokens) &&
      moved &&
      ascent.latents.data.every(Number.isFinite) &&
      String(samples[0]!.tokens) === String(samples[1]!.tokens) &&
      verdict!.length === 2 &&
      verdict!.every(Number.isFinite),
  }
}

const SAMPLES = 3

/**
 * Solves one question twice. The weights are random, so the answers mean nothing: the faults are those of their
 * form, of their latents, and of the second answer, which the seed makes equal to the first.
 */
async function solveBy(engine: Engine, strategy: Strategy): Promise<string[]> {
  const episodes = createEpisodesInMemory()
  const warnings: string[] = []
  const log = { info() {}, warn: (_: object, message: string) => void warnings.push(message) }
  const ascents: AscentResult[] = []
  const head: LatentHead = {
    ...engine.head,
    async ascend(step, signal) {
      const result = await engine.head.ascend(step, signal)
      ascents.push(result)
      return result
    },
  }
  const solver = createSolver({ engine: { ...engine, head }, episodes, logger: log })
  const request = {
    tenantId: 'default',
    question: 'seven',
    strategy,
    samples: SAMPLES,
    budget: { maxIterations: 3 },
    learn: true,
    explain: true,
    seed: 5,
  }
  const first = await solver.solve(request, { signal: never })
  const again = await solver.solve(request, { signal: never })
  const [episode] = episodes.added
  const { candidates = [], degraded, iterations, rewardHistory } = first
  const { hiddenSize, thoughtLayers } = engine
  const isSearch = strategy === 'latentseek'
  const thoughts = (episode?.candidates ?? []).flatMap(({ thought }) => thought ?? [])
  const checks: readonly (readonly [fault: string, isRight: boolean])[] = [
    [`${candidates.length} candidates`, isSearch ? candidates.length > 0 : candidates.length === SAMPLES],
    [
      'rewards out of [-1, 0]',
      candidates.every(({ reward }) => reward >= -1 && reward <= 0) && first.reward >= -1,
    ],
    ['candidates without tokens', candidates.every(({ tokens }) => tokens > 0)],
    [`degraded ${degraded}`, String(degraded) === (strategy === 'lto' ? 'lrm' : '')],
    [`${iterations} iterations`, isSearch ? iterations > 0 && rewardHistory.length > 0 : iterations === 0],
    ['no episode', episode?.embedding.length === hiddenSize],
    [`${ascents.length} ascents`, ascents.length > 0 === isSearch],
    [
      'latents of another shape, or not finite',
      ascents.every(({ latents: { data, width, length } }) => {
        return width === hiddenSize && data.length === width * length && data.every(Number.isFinite)
      }),
    ],
    [
      'thoughts of another shape, or none',
      thoughts.length > 0 &&
        thoughts.every(({ layers, width }) => layers === thoughtLayers && width === hiddenSize),
    ],
    ['another answer with the same seed', withoutTimes(first) === withoutTimes(again)],
    [`warnings ${warnings}`, warnings.length === 0],
  ]
  return checks.flatMap(([fault, isRight]) => (isRight ? [] : [fault]))
}

function withoutTimes({
  answer,
  reasoning,
  candidates,
}: Awaited<ReturnType<ReturnType<typeof createSolver>['solve']>>) {
  return JSON.stringify({ answer, reasoning, candidates })
}

/** Compares the engine's logits after a prompt with the file's, and the graph of ascent with the closed form. */
async function compareHead(engine: Engine, prompt: readonly number[], directory: string) {
  const session = await engine.open(prompt.slice(0, -1), { signal: never })
  const tokens = Array.from({ length: TOKENIZER_TOKENS }, (_, token) => token)
  const [logits] = await session.score([{ sequence: session.prompt, suffix: prompt.slice(-1) }], tokens)
  session.close()
  return await headErrors(directory, prompt, logits!)
}

/** Lines that enclose the table in docs/models.md. */
const MARKERS = ['<!-- exports: begin (npm run exports) -->', '<!-- exports: end -->'] as const

/** Returns the document with the table between the markers generated anew. */
export function withExportTable(document: string, outcomes: ReadonlyMap<string, Outcome>): string {
  const [begin, end] = MARKERS.map((marker) => document.indexOf(marker)) as [number, number]
  if (begin < 0 || end < begin) throw new Error(`document: expected the lines ${MARKERS.join(' and ')}`)
  return `${document.slice(0, begin)}${MARKERS[0]}\n\n${tableOf(outcomes)}\n\n${document.slice(end)}`
}

const HEAD = [
  'family',
  'exporter',
  'dtype',
  'served',
  'tokens alone',
  'ragged batch',
  'thoughts',
  'search',
  'latentseek, lto, majority',
  'equal to',
]

function tableOf(outcomes: ReadonlyMap<string, Outcome>): string {
  const rows = Object.entries(EXPORTS).map(([name, { family, exporter, dtype, reference }]) => {
    const outcome = outcomes.get(name)!
    if (outcome.refusal) {
      return [family, exporter, dtype, `no: ${outcome.refusal.code}`, ...HEAD.slice(4).map(() => '')]
    }
    const sign = (flag: boolean) => (flag ? '=' : '**≠**')
    const { alone, together, thoughts, searches, strategies } = outcome
    const failed = TRIED_STRATEGIES.filter((strategy) => strategies[strategy].length > 0)
    return [
      family,
      exporter,
      dtype,
      'yes',
      sign(alone),
      sign(together),
      thoughts ? 'yes' : 'no',
      searches ? 'yes' : '**no**',
      failed.length === 0 ? 'yes' : `**not ${failed.join(', ')}**`,
      reference === 'PyTorch' ? 'PyTorch, states too' : 'its file on ONNX Runtime',
    ]
  })
  const table = [HEAD, ...rows]
  const widths = HEAD.map((_, column) => Math.max(3, ...table.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const [head, ...body] = table.map(line)
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n')
}
