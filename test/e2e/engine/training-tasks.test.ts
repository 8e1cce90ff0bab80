/** @file Tasks in a training process: rows in, progress and results out, and the trainings of the service. */

import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type LabelledThought,
  trainRewardModel,
  trainWeaver,
  unpackLatents,
  unpackThought,
} from '#algorithms'
import { TRAINING_PROGRAM } from '#consolidation'
import { createTrainer, type Trainer } from '#engine'
import type { EchoOptions } from '../../fixtures/task-program.ts'
import { packed } from '../../support/episodes.ts'
import { graphRunner } from '../../support/graph-runner.ts'
import { SMALL as SMALL_WEAVER, syntheticEpisodes } from '../../support/synthetic-episodes.ts'
import { SMALL, syntheticThoughts } from '../../support/synthetic-thoughts.ts'

const { signal } = new AbortController()
const start = (program?: URL) =>
  createTrainer({
    executionProvider: 'cpu',
    cudaDevice: 0,
    threads: 1,
    logger: pino({ level: 'silent' }),
    ...(program && { program }),
  })
const FIXTURE = new URL('../../fixtures/task-program.ts', import.meta.url)

describe('a task', () => {
  let trainer: Trainer
  beforeAll(async () => {
    trainer = await start(FIXTURE)
  })
  afterAll(() => trainer.close())

  const run = async (options: EchoOptions, rows: readonly unknown[] = []) => {
    const task = await trainer.openTask('echo')
    const shares: number[] = []
    try {
      for (const row of rows) await task.add([row])
      return { ...(await task.run(options, { signal, onProgress: (share) => shares.push(share) })), shares }
    } finally {
      await task.close()
    }
  }

  test('gets its rows in order and returns values, progress and a model of any size', async () => {
    const rows = [{ bytes: Uint8Array.of(1, 2, 3) }, { name: 'second' }]
    const small = await run({ bytes: 0 }, rows)
    expect(small).toEqual({ value: rows, bytes: new Uint8Array(), shares: [0.5] })
    const size = 9 * 2 ** 20 + 7
    const { bytes } = await run({ bytes: size })
    expect(bytes?.length).toBe(size)
    expect(bytes?.every((value, index) => value === index % 251)).toBe(true)
  })

  test('throws with the code of its own error, and leaves the process usable', async () => {
    await expect(run('fail')).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
    expect((await run({ bytes: 1 })).bytes).toEqual(Uint8Array.of(0))
  })

  test('stops at once when its signal fires, and frees its rows', async () => {
    const controller = new AbortController()
    const task = await trainer.openTask('echo')
    const running = task.run('wait', { signal: controller.signal, onProgress: () => controller.abort() })
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    await task.close()
    await expect(task.add([1])).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  test('that the program does not have is refused, also without a program', async () => {
    await expect(trainer.openTask('other')).rejects.toThrow(/expected one of \(echo\), got other/)
    const bare = await start()
    await expect(bare.openTask('echo')).rejects.toMatchObject({ code: 'INTERNAL' })
    await bare.close()
  })

  test('fails with ENGINE_CRASHED when its process ends', async () => {
    const other = await start(FIXTURE)
    const task = await other.openTask('echo')
    await expect(task.run('exit', { signal })).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
    await task.close()
    await other.close()
  })
})

describe('the training program gives the same model as a training in this process', () => {
  let trainer: Trainer
  beforeAll(async () => {
    trainer = await start(TRAINING_PROGRAM)
  })
  afterAll(() => trainer.close())

  test('of a reward model', async () => {
    const rows = syntheticThoughts(120, 3).map(({ thought, ...described }) => ({
      ...described,
      thought: packed(thought.data, thought.layers),
    }))
    const examples: LabelledThought[] = rows.map((row) => ({ ...row, thought: unpackThought(row.thought) }))
    const local = await trainRewardModel(graphRunner(), examples, { seed: 5, signal }, SMALL)
    if ('skipped' in local) throw new Error(local.skipped)
    const task = await trainer.openTask('trainRewardModel')
    await task.add(rows.slice(0, 100))
    await task.add(rows.slice(100))
    const { value, bytes } = await task.run({ seed: 5, overrides: SMALL }, { signal })
    await task.close()
    const { model, ...trained } = local.trained
    expect(bytes).toEqual(new Uint8Array(model))
    expect(value).toEqual({ trained })
  })

  test('of a weaver, from its earlier version', async () => {
    const rows = syntheticEpisodes(120).map((example) => ({
      ...example,
      zBase: packed(example.zBase.data, example.zBase.length),
      zStar: packed(example.zStar.data, example.zStar.length),
    }))
    const examples = rows.map((row) => ({
      ...row,
      zBase: unpackLatents(row.zBase),
      zStar: unpackLatents(row.zStar),
    }))
    const options = { ...SMALL_WEAVER, epochs: 8 }
    const first = await trainWeaver(graphRunner(), examples, { seed: 4, signal }, options)
    if ('skipped' in first) throw new Error(first.skipped)
    const warmStart = first.trained.model
    const local = await trainWeaver(graphRunner(), examples, { seed: 5, signal }, { ...options, warmStart })
    if ('skipped' in local) throw new Error(local.skipped)
    const task = await trainer.openTask('trainWeaver')
    await task.add(rows)
    await task.add([{ warmStart: warmStart.subarray(0, 1000) }, { warmStart: warmStart.subarray(1000) }])
    const { value, bytes } = await task.run({ seed: 5, options }, { signal })
    await task.close()
    const { model, ...trained } = local.trained
    expect(bytes).toEqual(new Uint8Array(model))
    expect(value).toEqual({ trained })
  })
})
