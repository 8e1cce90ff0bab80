/** @file Trains the same network on both sides, epoch by epoch in turn. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createTrainer } from '#engine'
import type { GraphRunner } from '#ports'
import { createTensor, float32 } from '#tensor'
import { compileRewardTraining, dropoutMasks } from '../../src/algorithms/lto/reward-graphs.ts'
import { trainEpochs } from '../../src/algorithms/training/train-epochs.ts'
import { quantile } from '../report/statistics.ts'
import { peakMemoryMiB } from './peak-memory.ts'
import { startPyTorch } from './pytorch.ts'
import { OPTIONS, type Workload, writeWorkload } from './workload.ts'

export interface Comparison {
  readonly python: string
  readonly threads: number
  readonly epochs: number
  /** Number of first epochs that are not counted. */
  readonly warmUp: number
  readonly dropout: number
  /** Whether to fetch the loss of every step; the times are then meaningless. */
  readonly withLosses: boolean
  readonly logger: Logger
}

interface Side {
  /** Seconds of each epoch after the warm-up. */
  readonly seconds: readonly number[]
  readonly median: number
  /** Peak memory of the training process. */
  readonly peakMiB: number
  /** Peak memory beyond the memory of the process before it had data. */
  readonly trainingMiB: number
  readonly losses: readonly number[]
}

export interface Compared {
  readonly ours: Side
  readonly pytorch: Side | null
  readonly torch: string | null
}

/**
 * Trains with the service's own loop in a trainer process, including dropout masks. After every epoch
 * PyTorch trains on the same batches in the same order, so that other load on the machine falls on both.
 */
export async function sideBySide(workload: Workload, comparison: Comparison): Promise<Compared> {
  const { threads, epochs, warmUp, dropout, withLosses, logger } = comparison
  const folder = await mkdtemp(join(tmpdir(), 'circadian-training-'))
  const { architecture, standard, initial, answers } = workload
  const examples = answers.labels.length
  const totalSteps = epochs * Math.floor(examples / OPTIONS.batch)
  const schedule = { warmupSteps: Math.ceil(0.05 * totalSteps), totalSteps, clipNorm: 1 }
  await writeWorkload(folder, workload, { ...OPTIONS, ...schedule, dropout, threads })

  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger, threads })
  const pytorch = await startPyTorch(comparison.python, folder, threads)
  const pids = { ours: trainer.status().pid!, pytorch: pytorch?.pid ?? 0 }
  const held = { ours: peakMemoryMiB(pids.ours), pytorch: peakMemoryMiB(pids.pytorch) }
  const ours = { seconds: [] as number[], losses: [] as number[] }
  const theirs = { seconds: [] as number[], losses: [] as number[] }
  const batches: number[][] = []
  try {
    // The first epoch includes loading the graph; the warm-up drops it.
    let started = performance.now()
    await trainEpochs(
      watchSteps(trainer, withLosses, (rows, loss) => {
        batches.push(rows)
        if (loss !== undefined) ours.losses.push(loss)
      }),
      {
        examples,
        data: {
          thoughts: answers.thoughts,
          labels: float32(answers.labels),
          weights: float32(answers.weights),
        },
        compile: (batch) =>
          compileRewardTraining(architecture, standard, initial, {
            answers: examples,
            batch,
            dropout,
            pairWeight: 0,
          }),
        draw: (random, batch) =>
          Object.fromEntries(
            (dropout > 0 ? dropoutMasks(architecture, batch) : []).map(({ name, shape }) => {
              const size = shape.reduce((product, dim) => product * dim, 1)
              const keep = Uint8Array.from({ length: size }, () => (random.uniform() < dropout ? 0 : 1))
              return [name, createTensor('bool', shape, keep)]
            }),
          ),
        async judge() {
          ours.seconds.push((performance.now() - started) / 1000)
          const trained = await pytorch?.train(batches, withLosses)
          batches.length = 0
          if (trained) {
            theirs.seconds.push(trained.seconds)
            theirs.losses.push(...trained.losses)
          }
          started = performance.now()
          return { loss: 0 }
        },
      },
      { ...OPTIONS, epochs, patience: epochs + 1 },
      { seed: 1, signal: new AbortController().signal },
    )
    const side = (times: typeof ours, pid: number, before: number): Side => {
      const seconds = times.seconds.slice(warmUp)
      const peakMiB = peakMemoryMiB(pid)
      return {
        seconds,
        median: quantile(seconds, 0.5),
        peakMiB,
        trainingMiB: peakMiB - before,
        losses: times.losses,
      }
    }
    return {
      ours: side(ours, pids.ours, held.ours),
      pytorch: pytorch ? side(theirs, pids.pytorch, held.pytorch) : null,
      torch: pytorch?.version ?? null,
    }
  } finally {
    await Promise.all([trainer.close(), pytorch?.close()])
    await rm(folder, { recursive: true, force: true })
  }
}

/** Wraps `runner`: calls `onStep` with the rows of each step, and with its loss when `withLosses`. */
function watchSteps(
  runner: GraphRunner,
  withLosses: boolean,
  onStep: (rows: number[], loss?: number) => void,
): GraphRunner {
  return {
    async load(model, options) {
      const graph = await runner.load(model, options)
      return {
        ...graph,
        async run(feeds, fetches) {
          const rows = Array.from(feeds['rows']!.data as BigInt64Array, Number)
          if (!withLosses) {
            onStep(rows)
            return await graph.run(feeds, fetches)
          }
          const fetched = await graph.run(feeds, [...fetches, 'loss'])
          onStep(rows, Number(fetched.loss.data[0]))
          return fetched
        },
      }
    },
  }
}
