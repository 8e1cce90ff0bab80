/** @file Greedy generation against transformers.js: the same ONNX file, prompts, tokens and threads. */

import { loadModelDirectory } from '#engine'
import { concurrently } from '#evaluation'
import { printTable } from '../report/table.ts'
import { type BenchModel, bundledModel, generateOnce, largerModel, promptOf, startEngine } from './models.ts'
import { createReferenceEngine } from './reference-engine.ts'
import { loadReference } from './reference-model.ts'
import { loadTransformers } from './transformers-model.ts'

const AT_ONCE = 16

/** Answers requested from the reference as well, which runs the whole sequence for every token. */
const REFERENCE_ANSWERS = 2

export async function againstTransformers(options: { readonly rounds: number }): Promise<unknown> {
  const results = []
  for (const model of [bundledModel(), await largerModel()]) results.push(await compare(model, options))
  return results
}

type Prompts = readonly (readonly number[])[]

async function compare(model: BenchModel, { rounds }: { readonly rounds: number }) {
  const { maxNewTokens, threads } = model
  await using parts = new AsyncDisposableStack()
  const engine = parts.adopt(await startEngine(model), (it) => it.close())
  const { eosTokenIds } = engine
  const peer = await loadTransformers(model.directory, { threads, eosTokenIds })
  // Fresh prompts for each of our arms and every round: the engine's prefix cache would recognise repeated
  // ones.
  const all = model.questions((rounds + 1) * 2 * AT_ONCE).map((question) => promptOf(engine, question))

  const theirs = async (prompt: readonly number[]) => (await peer.generate([prompt], maxNewTokens))[0] ?? []
  const oursAlone = (prompts: Prompts) =>
    concurrently(prompts, 1, (prompt) => generateOnce(engine, prompt, maxNewTokens))
  const arms: Record<string, (alone: Prompts, atOnce: Prompts) => Promise<Prompts>> = {
    'ours, one at a time': oursAlone,
    'transformers.js, one at a time': (alone) => concurrently(alone, 1, theirs),
    'ours, at once': (_, atOnce) =>
      concurrently(atOnce, AT_ONCE, (it) => generateOnce(engine, it, maxNewTokens)),
    'transformers.js, at once': (_, atOnce) => concurrently(atOnce, AT_ONCE, theirs),
    'transformers.js, batched by hand': (_, atOnce) => peer.generate(atOnce, maxNewTokens),
  }
  const rates: Record<string, number> = {}
  const answers: Record<string, Prompts> = {}
  for (let round = 0; round <= rounds; round++) {
    const alone = all.slice(2 * round * AT_ONCE).slice(0, model.alone)
    const atOnce = all.slice((2 * round + 1) * AT_ONCE).slice(0, AT_ONCE)
    for (const [name, run] of Object.entries(arms)) {
      const started = performance.now()
      const found = await run(alone, atOnce)
      const seconds = (performance.now() - started) / 1000
      answers[name] = [...(answers[name] ?? []), ...found]
      // The first round warms up: its answers count, its times do not.
      if (round > 0) rates[name] = Math.max(rates[name] ?? 0, found.flat().length / seconds)
    }
  }
  const first = all.slice(AT_ONCE, AT_ONCE + REFERENCE_ANSWERS)
  answers['reference without cache'] = await withoutCache(model, first)

  const one = answers['ours, one at a time'] ?? []
  const many = answers['ours, at once'] ?? []
  const agreement = (name: string, ours: Prompts) =>
    `${same(ours, answers[name] ?? [])} of ${answers[name]?.length}`
  const agree = {
    'transformers.js, one at a time': agreement('transformers.js, one at a time', one),
    'transformers.js, at once': agreement('transformers.js, at once', many),
    'transformers.js, batched by hand': agreement('transformers.js, batched by hand', many),
    'reference without cache': agreement('reference without cache', many),
    'ours, one at a time, and at once': `${same(many, await oursAlone(all.slice(AT_ONCE, AT_ONCE + model.alone)))} of ${model.alone}`,
  }
  printTable(
    `${model.name}: answers with the same greedy tokens as ours`,
    ['side', 'answers'],
    Object.entries(agree),
  )
  const compared = (requests: string, ours: string, theirs: string) => {
    const [oursRate = 0, theirsRate = 0] = [rates[ours], rates[theirs]]
    return { requests, theirs: theirsRate, ours: oursRate, ratio: oursRate / theirsRate }
  }
  const results = [
    compared('one at a time', 'ours, one at a time', 'transformers.js, one at a time'),
    compared(`${AT_ONCE} at once`, 'ours, at once', 'transformers.js, at once'),
    compared(
      `${AT_ONCE} at once, theirs batched by hand`,
      'ours, at once',
      'transformers.js, batched by hand',
    ),
  ]
  printTable(
    `${model.name}: tokens/s, ${threads} thread(s) on both sides, fastest of ${rounds}`,
    ['requests', 'transformers.js', 'ours', 'ratio'],
    results.map((it) => [it.requests, it.theirs, it.ours, it.ratio]),
  )
  return { model: model.name, threads, rounds, n: AT_ONCE, agree, results }
}

async function withoutCache(model: BenchModel, prompts: Prompts) {
  const directory = await loadModelDirectory(model.directory)
  const engine = createReferenceEngine(await loadReference(directory, model.threads), directory)
  return await concurrently(prompts, 1, (prompt) => generateOnce(engine, prompt, model.maxNewTokens))
}

function same(expected: Prompts, found: Prompts): number {
  return found.filter((tokens, index) => tokens.join(' ') === expected[index]?.join(' ')).length
}
