import { pino } from 'pino'
import { expect, test } from 'vitest'
import { readVerdictWord } from '#algorithms'
import { createEngine } from '#engine'
import type { GenerationRow } from '#ports'
import { createSolver } from '#solving'
import { tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)
/** The random decoder ends in some word w0..w53: a verdict is whether its number is below 27. */
const WORDS = { true: numbers(0, 27), false: numbers(27, 54) }
const ROW: GenerationRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 24, latents: 0 }

test.each([
  ['continuation' as const, 'check w1'],
  ['chat' as const, '{question} check w1'],
  ['turn' as const, '{question} check w1'],
])('a %s judge writes in the engine process, and its verdict is the reward', async (mode, judgePrompt) => {
  await using model = await tinyModelDirectory()
  const judge = {
    mode,
    verdict: 'generate',
    marker: 'w',
    maxNewTokens: 16,
    criteria: [{ name: 'correctness', prompt: judgePrompt, weight: 1, ...WORDS }],
  }
  await model.write('circadian.json', {
    solver: { system: '' },
    judge,
    answer: { pattern: '(w\\d+)' },
    format: { mustEnd: false },
    defaults: { maxNewTokens: 24 },
  })
  const logger = pino({ level: 'silent' })
  const engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger,
  })
  const solver = createSolver({ engine, episodes: null, logger })
  const { signal } = new AbortController()

  const rewards: number[] = []
  let approvals = 0
  for (let index = 0; index < 12; index++) {
    const question = `w${index} w${(7 * index) % 54} w${(11 * index + 3) % 54}`
    const solution = await solver.solve(
      {
        tenantId: 'default',
        question,
        strategy: 'greedy',
        learn: false,
        explain: false,
        seed: 1,
        reward: { format: 0 },
      },
      { signal },
    )

    // The same calls by hand: the answer, then the judge's turn after it.
    const messages = [{ role: 'user' as const, content: question }]
    const session = await engine.open(engine.codec.encodeChat(messages), { signal })
    const [draft] = await session.generate([ROW])
    const answer = engine.codec.decode(draft!.tokens)
    const suffix = engine.codec.encode(judgePrompt)
    const turns = (said: string) =>
      engine.codec
        .encodeChat([
          ...messages,
          { role: 'assistant', content: said },
          { role: 'user', content: judgePrompt.replace('{question}', question) },
        ])
        .slice(session.promptTokens)
    // After one word, the template writes EOS, which an answer that ended has already.
    const hasEnded = draft!.finish === 'eos'
    const asked = {
      continuation: { sequence: draft!.sequence, prefix: suffix },
      chat: { sequence: session.prompt, prefix: turns(answer) },
      turn: { sequence: draft!.sequence, prefix: turns('w1').slice(hasEnded ? 2 : 1) },
    }[mode]
    const [written] = await session.generate([{ ...ROW, ...asked, maxNewTokens: 16 }])
    session.close()

    const said = engine.codec.decode(written!.tokens.slice(asked.prefix.length))
    const approves = written!.finish === 'eos' ? readVerdictWord(said, 'w', WORDS) : 0
    expect(solution.reasoning).toBe(answer)
    if (solution.answer !== null) expect(solution.reward, said).toBe(approves - 1 || 0)
    rewards.push(solution.reward)
    approvals += approves
    expect(solution.usage.generatedTokens).toBe(draft!.generatedTokens)
    if (solution.answer !== null) {
      expect(solution.usage.rewardTokens).toBeGreaterThanOrEqual(written!.generatedTokens + suffix.length)
    }
  }
  await engine.close()
  // Both verdicts must occur: a judge with a constant verdict would prove little.
  expect(approvals).toBeGreaterThan(0)
  expect(approvals).toBeLessThan(12)
  expect(new Set(rewards)).toEqual(new Set([0, -1]))
})
