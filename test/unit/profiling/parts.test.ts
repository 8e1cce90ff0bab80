import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { createStages, openProfileFolder } from '#profiling'
import { checkVerdictWords, judgeTemplates, promptTemplates } from '../../../src/profiling/templates.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'circadian-profile-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('the folder of a profile', () => {
  test('keeps measurements for the next call, and drops a line that a kill cut', async () => {
    const first = await openProfileFolder(folder, { seed: 1 })
    expect(await first.measure('a', async () => ({ value: 1 }))).toEqual({ value: 1 })
    await appendFile(join(folder, 'measurements.jsonl'), '["b",{"val')
    const second = await openProfileFolder(folder, { seed: 1 })
    expect(second.known).toBe(1)
    const again = () => Promise.reject(new Error('measured again'))
    expect(await second.measure('a', again)).toEqual({ value: 1 })
    expect(await second.measure('b', async () => 2)).toBe(2)
    expect((await openProfileFolder(folder, { seed: 1 })).known).toBe(2)
  })

  test('refuses other settings by their names, and damaged lines by their numbers', async () => {
    await openProfileFolder(folder, { seed: 1, problems: 'x' })
    await expect(openProfileFolder(folder, { seed: 2, problems: 'x' })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringMatching(/seed: expected 1, got 2; use another --out/),
    })
    await appendFile(join(folder, 'measurements.jsonl'), 'damaged\n')
    await expect(openProfileFolder(folder, { seed: 1, problems: 'x' })).rejects.toMatchObject({
      message: expect.stringContaining('measurements.jsonl:1'),
    })
    expect(JSON.parse(await readFile(join(folder, 'settings.json'), 'utf8'))).toEqual({
      seed: 1,
      problems: 'x',
    })
  })
})

describe('the stages of a profile', () => {
  function clocked(budgetMs: number, options: Partial<Parameters<typeof createStages>[0]> = {}) {
    let ms = 0
    const lines: string[] = []
    const stream = { isTTY: false, write: (text: string) => lines.push(text) }
    const stop = new AbortController().signal
    const stages = createStages({ budgetMs, concurrency: 1, stop, stream, now: () => ms, ...options })
    const work = async (item: number) => {
      ms += 10
      return item * 2
    }
    return { stages, work, lines }
  }

  test('begin no item after their share of the budget; what one leaves is for the next', async () => {
    const { stages, work, lines } = clocked(100)
    expect(await stages.run({ name: 'prompts' }, [1, 2, 3, 4], work)).toEqual([2, 4, 6, null])
    expect(await stages.run({ name: 'drafts' }, [1], work)).toEqual([2])
    // A tenth of its own, and a tenth that is left.
    expect(await stages.run({ name: 'embeddings' }, [1, 2, 3], work)).toEqual([2, 4, null])
    expect(lines).toEqual([
      'prompts: 3 of 4 in 0 s\n',
      'drafts: 1 of 1 in 0 s\n',
      'embeddings: 2 of 3 in 0 s\n',
    ])
  })

  test('that begin late, because items of the one before had begun, have their share all the same', async () => {
    const { stages, work } = clocked(100)
    const slow = async (item: number) => {
      for (let times = 0; times < 9; times++) await work(item)
      return item
    }
    expect(await stages.run({ name: 'prompts' }, [1, 2], slow)).toEqual([1, null])
    expect(await stages.run({ name: 'drafts' }, [1, 2, 3], work)).toEqual([2, 4, null])
  })

  test('that are not wanted measure nothing new, and leave their shares to the others', async () => {
    const { stages, work } = clocked(100, { only: ['embeddings'] })
    expect(await stages.run({ name: 'prompts' }, [1, 2], work)).toEqual([null, null])
    expect(await stages.run({ name: 'drafts', isKnown: (item) => item === 2 }, [1, 2], work)).toEqual([
      null,
      4,
    ])
    const items = Array.from({ length: 12 }, (_, index) => index)
    const results = await stages.run({ name: 'embeddings' }, items, work)
    expect(results.filter((result) => result !== null)).toHaveLength(10)
  })

  test('take what is known whatever the time', async () => {
    const { stages, work } = clocked(10)
    expect(await stages.run({ name: 'prompts', isKnown: (item) => item === 3 }, [1, 2, 3], work)).toEqual([
      2,
      null,
      6,
    ])
  })

  test('end at a signal, which drops what is in progress', async () => {
    const fails = () => Promise.reject(new ServiceError('ABORTED', 'dropped'))
    const { stages } = clocked(1000)
    await expect(stages.run({ name: 'rho' }, [1], fails)).rejects.toMatchObject({ code: 'ABORTED' })
    const controller = new AbortController()
    const { stages: stopped } = clocked(1000, { stop: controller.signal })
    const drops = () => {
      controller.abort()
      return fails()
    }
    expect(await stopped.run({ name: 'rho' }, [1, 2], drops)).toEqual([null, null])
  })

  test('show a bar with the time left on a terminal', async () => {
    const lines: string[] = []
    const stream = { isTTY: true, write: (text: string) => lines.push(text) }
    const { stages } = clocked(60_000, { stream })
    await stages.run({ name: 'drafts' }, [1], async () => 1)
    expect(lines.join('')).toMatch(/drafts: 0 of 1, at most .* left here/)
  })
})

describe('prompts and judges of ours', () => {
  /** Every word of letters is one token, by its letters; other words have one token for each character. */
  const codec = (letters: RegExp) => {
    const known: string[] = []
    const idOf = (piece: string) => (known.includes(piece) ? known.indexOf(piece) : known.push(piece) - 1)
    return {
      encode: (text: string) =>
        text
          .split(/(?= )/)
          .flatMap((word) => (letters.test(word.trim()) ? [word] : [...word]))
          .map(idOf),
      decode: (tokens: readonly number[]) => tokens.map((id) => known[id]).join(''),
    }
  }
  const turn = {
    ...TEST_PROFILE,
    judge: { ...TEST_PROFILE.judge, mode: 'turn' as const },
  }

  test('verdict words are checked in their spellings: one token each, and apart', () => {
    const [yes, trues] = checkVerdictWords(codec(/^(Yes|yes|No)$/))
    expect(yes).toMatchObject({
      isUsable: true,
      right: { tokens: 1, spellings: ['Yes', 'yes', ' Yes', ' yes'] },
      wrong: { tokens: 1, spellings: ['No', ' No'] },
    })
    expect(trues).toMatchObject({ isUsable: false, right: { tokens: 4, spellings: [] } })
  })

  test('words that share a token are not usable', () => {
    const plain = codec(/./)
    const [yes] = checkVerdictWords({ ...plain, encode: (text) => plain.encode(text.replace('No', 'Yes')) })
    expect(yes!.isUsable).toBe(false)
  })

  test('a judge of ours is asked beside the own one, in a turn and by logits only', () => {
    const words = checkVerdictWords(codec(/^(Yes|No)$/))
    const judges = judgeTemplates(turn, codec(/./), words)
    expect(judges.map(({ name }) => name)).toEqual(["the profile's own", 'Yes/No', 'Yes/No, checking'])
    expect(judges[1]!.criterion).toMatchObject({ true: ['Yes', ' Yes'], false: ['No', ' No'] })
    expect(judges[1]!.criterion.prompt).toContain('Yes or No.')
    expect(judgeTemplates(TEST_PROFILE, codec(/./), words)).toHaveLength(1)
  })

  test('a prompt that the tokenizer cannot write is none', () => {
    expect(promptTemplates(TEST_PROFILE, codec(/./)).length).toBeGreaterThan(3)
    const lossy = { ...codec(/./), decode: () => '?' }
    expect(promptTemplates(TEST_PROFILE, lossy)).toEqual([
      { name: "the profile's own", solver: TEST_PROFILE.solver, answer: TEST_PROFILE.answer },
    ])
  })
})
