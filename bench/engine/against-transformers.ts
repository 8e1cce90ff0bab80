/** @file Greedy generation against transformers.js: the same ONNX file, prompts, tokens and threads. */

import { loadModelDirectory } from '#engine'
import { concurrently } from '../concurrently.ts'
import { printTable } from '../report/table.ts'
import { type BenchModel, bundledModel, generateOnce, largerModel, promptOf, startEngine } from './models.ts'
import { createReferenceEngine } from './reference-engine.ts'
import { loadReference } from './reference-model.ts'
import { loadTransformers } from './transformers-model.ts'

const AT_ONCE = 16

/** Answers that the reference, which pays for the whole sequence at every token, is asked for as well. */
const REFERENCE_ANSWERS = 2

export async function againstTransformers(options: { readonly rounds: number }): Promise<unknown> {
  const results = []
  for (const model of [bundledModel(), await largerModel()]) results.push(await compare(model, options))
  return results
}

async function compare(model: BenchModel, { rounds }: { readonly rounds: number }) {
  const { maxNewTokens, threads } = model
  await using parts = new AsyncDisposableStack()
  const engine = parts.adopt(await startEngine(model), (it) => it.close())
  const { eosTokenIds } = engine
  const peer = await loadTransformers(model.directory, { threads, eosTokenIds })
  const prompts = model.questions(AT_ONCE).map((question) => promptOf(engine, question))
  const first = prompts.slice(0, 1)

  const arms: Record<string, () => Promise<readonly (readonly number[])[]>> = {
    'ours, one request': () => concurrently(first, 1, (it) => generateOnce(engine, it, maxNewTokens)),
    'transformers.js, one request': () => peer.generate(first, maxNewTokens),
    'ours, at once': () => concurrently(prompts, AT_ONCE, (it) => generateOnce(engine, it, maxNewTokens)),
    'transformers.js, at once': () =>
      concurrently(prompts, AT_ONCE, async (it) => (await peer.generate([it], maxNewTokens))[0] ?? []),
    'transformers.js, batched by hand': () => peer.generate(prompts, maxNewTokens),
  }
  const rates: Record<string, number> = {}
  const answers: Record<string, readonly (readonly number[])[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(arms)) {
      const started = performance.now()
      const found = await run()
      const seconds = (performance.now() - started) / 1000
      answers[name] = found
      rates[name] = Math.max(rates[name] ?? 0, found.flat().length / seconds)
    }
  }
  answers['reference without cache'] = await withoutCache(model, prompts.slice(0, REFERENCE_ANSWERS))

  const expected = answers['ours, at once'] ?? []
  const agree = Object.fromEntries(
    Object.entries(answers).map(([name, found]) => [name, `${same(expected, found)} of ${found.length}`]),
  )
  printTable(
    `${model.name}: answers with the same greedy tokens as ours, ${AT_ONCE} at once`,
    ['side', 'answers'],
    Object.entries(agree),
  )
  const compared = (requests: string, ours: string, theirs: string) => {
    const [oursRate = 0, theirsRate = 0] = [rates[ours], rates[theirs]]
    return { requests, theirs: theirsRate, ours: oursRate, ratio: oursRate / theirsRate }
  }
  const results = [
    compared('one request', 'ours, one request', 'transformers.js, one request'),
    compared(`${AT_ONCE} at once`, 'ours, at once', 'transformers.js, at once'),
    compared(
      `${AT_ONCE} at once, theirs batched by hand`,
      'ours, at once',
      'transformers.js, batched by hand',
    ),
  ]
  printTable(
    `${model.name}: tokens/s, ${threads} thread(s) on both sides, fastest of ${rounds}, ${expected.flat().length} tokens at once`,
    ['requests', 'transformers.js', 'ours', 'ratio'],
    results.map((it) => [it.requests, it.theirs, it.ours, it.ratio]),
  )
  return { model: model.name, threads, rounds, n: AT_ONCE, agree, results }
}

async function withoutCache(model: BenchModel, prompts: readonly (readonly number[])[]) {
  const directory = await loadModelDirectory(model.directory)
  const engine = createReferenceEngine(await loadReference(directory, model.threads), directory)
  return await concurrently(prompts, 1, (prompt) => generateOnce(engine, prompt, model.maxNewTokens))
}

function same(expected: readonly (readonly number[])[], found: readonly (readonly number[])[]): number {
  return found.filter((tokens, index) => tokens.join(' ') === expected[index]?.join(' ')).length
}
