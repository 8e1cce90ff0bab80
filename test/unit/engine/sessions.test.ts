import { expect, suite, test } from 'vitest'
import { describeDecoder } from '#decoder'
import type { Continuation, GenerationRow } from '#ports'
import { createRandom } from '#tensor'
import type { TinyDecoderOptions } from '../../fixtures/tiny-decoder.ts'
import { createStepDecoder } from '../../support/decode-by-steps.ts'
import { EOS, type TinySessions, tinyModel, tinySessions } from '../../support/tiny-sessions.ts'

const greedy: GenerationRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 20, latents: 3 }

/** Prompts of different lengths; tokens without a special meaning. */
function promptOf(index: number, length = 3 + ((index * 5) % 17)): number[] {
  const random = createRandom(1000 + index)
  return [1, ...Array.from({ length: length - 1 }, () => 6 + Math.floor(random.uniform() * 58))]
}

let nextSession = 0

function open({ sessions }: TinySessions, prompt: readonly number[]): number {
  nextSession += 1
  sessions.open(nextSession, prompt)
  return nextSession
}

async function generateAlone(
  engine: TinySessions,
  prompt: readonly number[],
  row: GenerationRow,
): Promise<Continuation> {
  const session = open(engine, prompt)
  const [continuation] = await engine.sessions.generate(session, [row])
  engine.sessions.close(session)
  return continuation!
}

/** Decodes greedily in the plainest way: feeds the whole sequence afresh for each token. */
async function decodeNaively(engine: TinySessions, prompt: readonly number[], count: number) {
  const tokens: number[] = []
  const states: Float32Array[] = []
  while (tokens.length < count && tokens.at(-1) !== EOS) {
    const { hiddenStates } = await engine.scheduler.submit({
      past: null,
      input: [...prompt, ...tokens],
      decode: null,
      keepCache: false,
      signal: new AbortController().signal,
    })
    states.push(hiddenStates)
    const latents = { data: hiddenStates, length: 1, width: hiddenStates.length }
    tokens.push((await engine.head.decode(latents))[0]!)
  }
  return { tokens, states }
}

suite('sessions', () => {
  test('generate the tokens of feeding everything afresh for every token', async () => {
    const engine = await tinySessions()
    for (const index of [0, 1, 2, 3]) {
      const naive = await decodeNaively(engine, promptOf(index), 20)
      const { tokens, latents, generatedTokens, finish } = await generateAlone(
        engine,
        promptOf(index),
        greedy,
      )
      expect(tokens).toEqual(naive.tokens)
      expect(generatedTokens).toBe(tokens.length)
      expect(finish).toBe(tokens.at(-1) === EOS ? 'eos' : 'length')
      expect(latents).toMatchObject({ length: Math.min(3, tokens.length), width: 16 })
      naive.states.slice(0, 3).forEach((state, position) => {
        for (const [d, value] of state.entries())
          expect(latents.data[position * 16 + d]).toBeCloseTo(value, 4)
      })
    }
  })

  test('embed gives the state that predicts the first token, and prefills the prompt once', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(4))
    const state = await engine.sessions.embed(session)
    expect(await engine.sessions.embed(session)).toBe(state)
    const [answer] = await engine.sessions.generate(session, [greedy])
    for (const [d, value] of state.entries()) expect(answer!.latents.data[d]).toBeCloseTo(value, 4)
    const longRuns = engine.runs.filter(({ inputLength }) => inputLength > 1)
    expect(longRuns).toHaveLength(1)
  })

  test('samples in one call share one prefill and one batch', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(5))
    const rows = Array.from({ length: 6 }, (_, seed) => ({
      ...greedy,
      temperature: 1,
      seed,
      maxNewTokens: 16,
    }))
    const samples = await engine.sessions.generate(session, rows)
    expect(new Set(samples.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(3)
    expect(engine.runs.map(({ rows, steps }) => [rows, steps])[0]).toEqual([1, 1])
    expect(engine.runs.slice(1, 2)).toMatchObject([{ rows: 6, inputLength: 1 }])
  })

  test.each<[string, TinyDecoderOptions]>([
    ['plain attention', {}],
    ['fused attention', { fused: true, width: 32, keyValueHeads: 1 }],
    ['fused attention, rotary positions outside', { fused: true, rotary: 'outside', width: 32 }],
    ['fused attention with a mask of its own', { fused: true, attentionBias: true, width: 32 }],
  ])('16 at once, %s: exactly the tokens that each gives alone, greedy and sampled', async (_, decoder) => {
    const alone = await tinySessions({ decoder })
    const together = await tinySessions({ decoder, limits: { maxRunningRows: 8, runMs: 60_000 } })
    const jobs = Array.from({ length: 16 }, (_, index) => ({
      prompt: promptOf(index),
      row: {
        ...greedy,
        temperature: index % 2 ? 0.9 : 0,
        seed: 77 + index,
        maxNewTokens: 5 + 2 * index,
        ...(index % 4 > 1 && { sampling: { topK: 2 + index, topP: 0.9, repetitionPenalty: 1 + index / 16 } }),
      },
    }))
    const expected = []
    for (const { prompt, row } of jobs) expected.push(await generateAlone(alone, prompt, row))
    const got = await Promise.all(jobs.map(({ prompt, row }) => generateAlone(together, prompt, row)))
    expect(got.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens))
    expect(got.map(({ finish }) => finish)).toEqual(expected.map(({ finish }) => finish))
    expect(Math.max(...together.runs.map(({ rows }) => rows))).toBe(8)
    expect(together.runs.length).toBeLessThan(alone.runs.length / 3)
  })

  test('caches in half precision: the same answers alone and together, at half the bytes', async () => {
    const single = await tinySessions()
    const half = await tinySessions({ halfCaches: true, limits: { chunkTokens: [3, 3] } })
    const prompts = [promptOf(30), promptOf(31), promptOf(32)]
    const answers = await Promise.all(prompts.map((prompt) => generateAlone(half, prompt, greedy)))
    for (const [index, prompt] of prompts.entries()) {
      const alone = await generateAlone(half, prompt, greedy)
      expect(answers[index]!.tokens).toEqual(alone.tokens)
      const precise = await generateAlone(single, prompt, greedy)
      // Rounding to fp16 shows from the second token on.
      for (const [d, value] of precise.latents.data.slice(16, 32).entries()) {
        expect(alone.latents.data[16 + d]).toBeCloseTo(value, 1)
      }
    }
    await Promise.all([single, half].map((engine) => engine.sessions.embed(open(engine, prompts[0]!))))
    expect(half.sessions.load().cacheBytes).toBe(single.sessions.load().cacheBytes / 2)
  })

  test('the same seed gives the same tokens for all lengths of runs', async () => {
    const row = { ...greedy, temperature: 1.2, seed: 5, maxNewTokens: 30 }
    const answers = []
    for (const chunk of [1, 3, 8, 64]) {
      const engine = await tinySessions({ limits: { chunkTokens: [chunk, chunk] } })
      answers.push((await generateAlone(engine, promptOf(6), row)).tokens)
    }
    for (const tokens of answers) expect(tokens).toEqual(answers[0])
    const other = await generateAlone(await tinySessions(), promptOf(6), { ...row, seed: 6 })
    expect(other.tokens).not.toEqual(answers[0])
  })

  test('rules of sampling act as the plain rules do, for all lengths of runs and with a prefix', async () => {
    const { model, config } = tinyModel()
    const reference = await createStepDecoder(model, describeDecoder(model, config))
    const sampling = { topK: 40, topP: 0.95, minP: 0.01, repetitionPenalty: 1.8 }
    const row = { ...greedy, temperature: 1.2, seed: 5, maxNewTokens: 30, sampling }
    const random = createRandom(5)
    const uniforms = Array.from({ length: 30 }, () => random.uniform())
    const prefix = [9, 10, 11]
    const options = { steps: 30, eos: [EOS], temperature: 1.2, uniforms }
    const expected = await reference.decode([...promptOf(6), ...prefix], { ...options, sampling })
    for (const chunk of [1, 3, 8, 64]) {
      const engine = await tinySessions({ limits: { chunkTokens: [chunk, chunk], maxInputTokens: 5 } })
      const { tokens } = await generateAlone(engine, promptOf(6), { ...row, prefix })
      expect(tokens).toEqual([...prefix, ...expected.tokens])
    }
    const { repetitionPenalty: _, ...others } = sampling
    const unpenalised = await reference.decode([...promptOf(6), ...prefix], { ...options, sampling: others })
    expect(unpenalised.tokens).not.toEqual(expected.tokens)
    const engine = await tinySessions()
    const cold = await generateAlone(engine, promptOf(6), { ...row, temperature: 0 })
    const plain = await generateAlone(engine, promptOf(6), { ...greedy, maxNewTokens: 30 })
    expect(cold.tokens).toEqual(plain.tokens)
  })

  test('a long prompt fed in pieces gives the same answer', async () => {
    const whole = await tinySessions()
    const pieces = await tinySessions({ limits: { maxInputTokens: 7 } })
    const prompt = promptOf(7, 40)
    const answer = await generateAlone(pieces, prompt, greedy)
    expect(answer.tokens).toEqual((await generateAlone(whole, prompt, greedy)).tokens)
    expect(Math.max(...pieces.runs.map(({ inputLength }) => inputLength))).toBe(7)
  })

  test('continuing from a prefix equals generating everything, and decodes the rest only', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(8))
    const [full] = await engine.sessions.generate(session, [{ ...greedy, maxNewTokens: 12 }])
    for (const length of [1, 4, 11]) {
      const prefix = full!.tokens.slice(0, length)
      const [rest] = await engine.sessions.generate(session, [
        { ...greedy, prefix, maxNewTokens: 12 - length },
      ])
      expect(rest!.tokens).toEqual(full!.tokens)
      expect(rest!.generatedTokens).toBe(full!.tokens.length - length)
    }
  })

  test('a changed prefix gives the continuation of the changed text', async () => {
    const engine = await tinySessions()
    const prefix = [20, 21, 22]
    const session = open(engine, promptOf(9))
    const [changed] = await engine.sessions.generate(session, [{ ...greedy, prefix }])
    const naive = await decodeNaively(engine, [...promptOf(9), ...prefix], 20)
    expect(changed!.tokens).toEqual([...prefix, ...naive.tokens])
    for (const [d, value] of naive.states[0]!.entries())
      expect(changed!.latents.data[d]).toBeCloseTo(value, 4)
  })

  test('an end of sequence in the prefix ends the answer there', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(10))
    const [ended] = await engine.sessions.generate(session, [{ ...greedy, prefix: [20, EOS, 21] }])
    expect(ended).toMatchObject({
      tokens: [20, EOS],
      finish: 'eos',
      generatedTokens: 0,
      latents: { length: 0 },
    })
  })

  test('an answer ends at the end of the context', async () => {
    const engine = await tinySessions({ contextLength: 12 })
    const session = open(engine, promptOf(11, 9))
    const [short] = await engine.sessions.generate(session, [greedy])
    expect(short!.tokens.length).toBeLessThanOrEqual(3)
    const [none] = await engine.sessions.generate(session, [{ ...greedy, prefix: [20, 21, 22] }])
    expect(none).toMatchObject({ tokens: [20, 21, 22], finish: 'length', generatedTokens: 0 })
    await expect(
      engine.sessions.score(session, [{ sequence: none!.sequence, suffix: [6] }], [7]),
    ).rejects.toMatchObject({
      code: 'PROMPT_TOO_LONG',
    })
  })

  test('a verdict equals that of a fresh prefill of the same text', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(12))
    const answers = await engine.sessions.generate(session, [
      greedy,
      { ...greedy, temperature: 1, seed: 1, maxNewTokens: 7 },
      { ...greedy, prefix: [20, EOS] },
    ])
    const suffix = [6, 9]
    const rows = [...answers.map(({ sequence }) => ({ sequence, suffix })), { sequence: 0, suffix: [] }]
    const before = engine.runs.length
    const verdicts = await engine.sessions.score(session, rows, [7, 8])
    expect(engine.runs.slice(before).at(-1)).toMatchObject({ steps: 1, present: false })
    const texts = [...answers.map(({ tokens }) => [...promptOf(12), ...tokens, ...suffix]), promptOf(12)]
    for (const [index, text] of texts.entries()) {
      const fresh = open(engine, text)
      const [expected] = await engine.sessions.score(fresh, [{ sequence: 0, suffix: [] }], [7, 8])
      expect(verdicts[index]![0]).toBeCloseTo(expected![0]!, 4)
      expect(verdicts[index]![1]).toBeCloseTo(expected![1]!, 4)
    }
    // Scoring did not change the sequences.
    const again = await engine.sessions.score(session, rows, [7, 8])
    again.forEach((verdict, index) => {
      expect(verdict[0]).toBeCloseTo(verdicts[index]![0]!, 4)
    })
  })

  test('an export whose attention ignores the mask gives the same verdicts from caches as from fresh prefills', async () => {
    const engine = await tinySessions({ decoder: { fused: true, width: 32 } })
    const session = open(engine, promptOf(24))
    const row = { ...greedy, maxNewTokens: 12 }
    const answers = await engine.sessions.generate(session, [row, { ...row, prefix: [20, 21] }])
    const rows = answers.map(({ sequence }) => ({ sequence, suffix: [6] }))
    const verdicts = await engine.sessions.score(session, rows, [7, 8])
    for (const [index, { tokens }] of answers.entries()) {
      const fresh = open(engine, [...promptOf(24), ...tokens, 6])
      const [expected] = await engine.sessions.score(fresh, [{ sequence: 0, suffix: [] }], [7, 8])
      expect(verdicts[index]![0]).toBeCloseTo(expected![0]!, 4)
      expect(verdicts[index]![1]).toBeCloseTo(expected![1]!, 4)
    }
  })

  test('a verdict does not wait for a long answer of another session', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [4, 4] }, decoder: { seed: 3 } })
    const busy = open(engine, promptOf(0))
    const quick = open(engine, promptOf(13))
    const order: string[] = []
    await Promise.all([
      engine.sessions
        .generate(busy, [{ ...greedy, maxNewTokens: 60, temperature: 1 }])
        .then(() => order.push('answer')),
      engine.sessions.score(quick, [{ sequence: 0, suffix: [6] }], [7]).then(() => order.push('verdict')),
    ])
    expect(order).toEqual(['verdict', 'answer'])
  })

  test('closing drops waiting and running rows at the next run, and frees the caches', async () => {
    const engine = await tinySessions({ limits: { maxRunningRows: 2, chunkTokens: [1, 1] } })
    const session = open(engine, promptOf(14))
    const rows = Array.from({ length: 4 }, (_, seed) => ({
      ...greedy,
      temperature: 1.5,
      seed,
      maxNewTokens: 60,
    }))
    const work = engine.sessions.generate(session, rows)
    const outcome = expect(work).rejects.toMatchObject({ code: 'ABORTED' })
    while (engine.runs.length < 4) await new Promise(setImmediate)
    expect(engine.scheduler.load()).toMatchObject({ runningRows: 2, waitingRows: 2 })
    const runs = engine.runs.length
    engine.sessions.close(session)
    await outcome
    expect(engine.runs.length).toBeLessThanOrEqual(runs + 1)
    expect(engine.scheduler.load()).toMatchObject({ runningRows: 0, waitingRows: 0 })
    expect(engine.sessions.load()).toMatchObject({ sessions: 0, cachedSequences: 0, cacheBytes: 0 })
    await expect(engine.sessions.embed(session)).rejects.toMatchObject({ code: 'ABORTED' })
    engine.sessions.close(session)
  })

  test('a cancelled session leaves the others their tokens', async () => {
    const alone = await generateAlone(await tinySessions(), promptOf(15), greedy)
    const engine = await tinySessions({ limits: { chunkTokens: [2, 2] } })
    const doomed = open(engine, promptOf(16))
    const dropped = engine.sessions.generate(doomed, [{ ...greedy, temperature: 1.5 }]).catch(() => 'dropped')
    const kept = generateAlone(engine, promptOf(15), greedy)
    while (engine.runs.length < 3) await new Promise(setImmediate)
    engine.sessions.close(doomed)
    expect(await dropped).toBe('dropped')
    expect((await kept).tokens).toEqual(alone.tokens)
  })

  test('caches beyond the budget are dropped and rebuilt', async () => {
    // Two layers of 2 x 2 heads x 8 in fp32: 256 bytes a position.
    const rich = await tinySessions()
    const poor = await tinySessions({ cacheBytes: 256 * 30 })
    const answers: { tokens: (readonly number[])[]; verdicts: Float32Array[] }[] = []
    for (const engine of [rich, poor]) {
      const session = open(engine, promptOf(17, 12))
      const drafts = await engine.sessions.generate(session, [greedy, { ...greedy, prefix: [20] }])
      const verdicts = await engine.sessions.score(
        session,
        drafts.map(({ sequence }) => ({ sequence, suffix: [6] })),
        [7, 8],
      )
      answers.push({ tokens: drafts.map(({ tokens }) => tokens), verdicts })
    }
    expect(poor.sessions.load().cacheBytes).toBeLessThanOrEqual(256 * 30)
    expect(rich.sessions.load().cacheBytes).toBeGreaterThan(256 * 30)
    expect(answers[1]!.tokens).toEqual(answers[0]!.tokens)
    answers[1]!.verdicts.forEach((verdict, index) => {
      expect(verdict[0]).toBeCloseTo(answers[0]!.verdicts[index]![0]!, 4)
    })
  })

  test('counters: tokens fed and decoded, rows of each run, waiting time', async () => {
    const engine = await tinySessions()
    const totals = engine.scheduler.totals()
    const session = open(engine, promptOf(3, 9))
    const rows = [1, 2, 3].map((seed) => ({ ...greedy, temperature: 2, seed }))
    const answers = await engine.sessions.generate(session, rows)
    const decoded = answers.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)
    // The prompt once; its last token again as the first of each answer's decoding.
    expect(totals).toMatchObject({ prefillTokens: 9, decodeTokens: decoded })
    await engine.sessions.score(session, [{ sequence: answers[0]!.sequence, suffix: [6, 7] }], [8])
    // The verdict's suffix, and the answer's last token, which was not cached before.
    expect(totals).toMatchObject({ prefillTokens: 9 + 1 + 2, decodeTokens: decoded })
    const rowsRun = engine.runs.reduce((sum, { rows }) => sum + rows, 0)
    expect(totals.batchRows.sum).toBe(rowsRun)
    expect(totals.batchRows.counts.reduce((sum, count) => sum + count, 0)).toBe(engine.runs.length)
    // Prompt, three answers, verdict: each waited once.
    expect(totals.queueMs.counts.reduce((sum, count) => sum + count, 0)).toBe(5)
    expect(totals.generationMs).toBeGreaterThan(0)
    expect(totals.headMs).toBeGreaterThan(0)
  })

  test('a batch that fails is tried again row by row; a row that fails alone fails alone', async () => {
    const engine = await tinySessions()
    const expected = await generateAlone(engine, promptOf(18), greedy)
    engine.failFrom(2)
    const both = await Promise.all(
      [promptOf(18), promptOf(19)].map((prompt) => generateAlone(engine, prompt, greedy)),
    )
    expect(both[0]!.tokens).toEqual(expected.tokens)
    engine.failFrom(1)
    await expect(generateAlone(engine, promptOf(18), greedy)).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: 'engine: expected the model to run, got: a broken kernel',
    })
    engine.failFrom(0)
    expect((await generateAlone(engine, promptOf(18), greedy)).tokens).toEqual(expected.tokens)
  })

  test('a batch that fails changes no sample of its rows', async () => {
    const rows = [7, 8].map((seed) => ({ ...greedy, temperature: 5, seed }))
    const engine = await tinySessions()
    const expected = await engine.sessions.generate(open(engine, promptOf(18)), rows)
    engine.failFrom(2)
    const again = await engine.sessions.generate(open(engine, promptOf(18)), rows)
    expect(again.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens))
  })

  test('an unknown sequence is an error', async () => {
    const engine = await tinySessions()
    const session = open(engine, promptOf(20))
    await expect(engine.sessions.score(session, [{ sequence: 9, suffix: [] }], [7])).rejects.toThrow(
      'score: expected a sequence of this session, got number 9',
    )
  })

  test('a run takes as many tokens as fit the time it may take', async () => {
    const row = { ...greedy, temperature: 1, maxNewTokens: 61 }
    const steps = async (runMs: number) => {
      const engine = await tinySessions({ limits: { chunkTokens: [2, 40], runMs } })
      await generateAlone(engine, promptOf(23), row)
      return engine.runs.filter(({ inputLength }) => inputLength === 1).map((run) => run.steps)
    }
    // The first run shows how long a token takes.
    expect((await steps(60_000)).slice(0, 2)).toEqual([2, 40])
    expect(new Set(await steps(0))).toEqual(new Set([2]))
  })

  test('rows that continue together are not copied between chunks', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [4, 4] } })
    const prompts = [promptOf(21, 6), promptOf(22, 6)]
    await Promise.all(prompts.map((prompt) => generateAlone(engine, prompt, { ...greedy, maxNewTokens: 13 })))
    const decoding = engine.runs.filter(({ inputLength, rows }) => inputLength === 1 && rows === 2)
    // The block grows by what was decoded: nothing was trimmed or padded in between.
    expect(decoding.slice(0, 3).map(({ pastLength }) => pastLength)).toEqual([6, 10, 14])
  })
})
