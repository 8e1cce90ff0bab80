/** @file Trains one reward network and returns the parameters of its best epoch. */

import { encodeModel } from '#onnx'
import type { GraphRunner } from '#ports'
import { createTensor, float32, type Random, type Tensor } from '#tensor'
import type { Parameters } from '../training/layers.ts'
import { type EpochOptions, trainEpochs } from '../training/train-epochs.ts'
import type { TrainingRun } from '../training/training-result.ts'
import { fitCalibration, meanCrossEntropy, UNCALIBRATED } from './calibrate.ts'
import type { RewardArchitecture } from './forms/reward-form.ts'
import { compileRewardModel, compileRewardTraining, type DropoutMask, dropoutMasks } from './reward-graphs.ts'
import { createParameters } from './reward-network.ts'
import { scoreThoughts } from './score-thoughts.ts'
import type { Standardisation } from './standardise.ts'

/** Inputs and targets of a network, one row per answer. */
export interface Answers {
  /** [N, L + 1, D]. */
  readonly thoughts: Tensor<'float32'>
  /** 1 = right, 0 = wrong. */
  readonly labels: readonly number[]
  readonly weights: readonly number[]
  /** Number of each answer's question, for the within-question term. */
  readonly groups: readonly number[]
}

export interface NetworkTraining extends EpochOptions {
  /** Share of units that dropout sets to 0, in [0, 1). */
  readonly dropout: number
  /** Weight of the within-question term beside the cross-entropy; 0 trains without it. */
  readonly pairWeight: number
}

export interface TrainedNetwork {
  readonly parameters: Parameters
  /** Epoch that the parameters are of, counted from 1. */
  readonly bestEpoch: number
  /** Uncalibrated logits of the calibration answers. */
  readonly logits: readonly number[]
}

/**
 * Trains on `train`; after every epoch the calibrated loss on `calibration` decides whether its parameters
 * are the best so far.
 *
 * @throws ServiceError ABORTED when the signal fires; INTERNAL when no epoch ends in a finite loss.
 */
export async function trainNetwork(
  runner: GraphRunner,
  architecture: RewardArchitecture,
  standardisation: Standardisation,
  { train, calibration }: { readonly train: Answers; readonly calibration: Answers },
  options: NetworkTraining,
  run: TrainingRun,
): Promise<TrainedNetwork> {
  const { dropout, pairWeight } = options
  const examples = train.labels.length
  const initial = createParameters(architecture, run.seed)
  const { parameters, judged, bestEpoch } = await trainEpochs(
    runner,
    {
      examples,
      ...(pairWeight > 0 && { groups: train.groups }),
      data: {
        thoughts: train.thoughts,
        labels: float32(train.labels),
        weights: float32(train.weights),
        ...(pairWeight > 0 && { groups: float32(train.groups) }),
      },
      compile: (batch) =>
        compileRewardTraining(architecture, standardisation, initial, {
          answers: examples,
          batch,
          dropout,
          pairWeight,
        }),
      draw: (random, batch) =>
        dropout > 0 ? drawMasks(dropoutMasks(architecture, batch), dropout, random) : {},
      async judge(current) {
        const model = compileRewardModel(architecture, standardisation, [current], UNCALIBRATED)
        const graph = await runner.load(encodeModel(model))
        try {
          const logits = await scoreThoughts(graph, calibration.thoughts, 'logit')
          const answers = { ...calibration, logits }
          return { logits, loss: meanCrossEntropy(answers, fitCalibration(answers)) }
        } finally {
          await graph.close()
        }
      },
    },
    options,
    run,
  )
  return { parameters, bestEpoch, logits: judged.logits }
}

function drawMasks(
  masks: readonly DropoutMask[],
  dropout: number,
  random: Random,
): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(
    masks.map(({ name, shape }) => {
      const keep = new Uint8Array(shape.reduce((product, dim) => product * dim, 1))
      for (let unit = 0; unit < keep.length; unit++) keep[unit] = random.uniform() < dropout ? 0 : 1
      return [name, createTensor('bool', shape, keep)]
    }),
  )
}
