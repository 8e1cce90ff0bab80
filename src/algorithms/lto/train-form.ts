/** @file Trains the networks of one form of the reward model, calibrates them, and chooses between them. */

import { encodeModel } from '#onnx'
import type { GraphRunner } from '#ports'
import { deriveSeed } from '../derive-seed.ts'
import type { BootstrapOptions } from '../training/bootstrap.ts'
import type { Figure, Part, TrainingRun } from '../training/training-result.ts'
import { type Calibration, fitCalibration } from './calibrate.ts'
import { chooseScores } from './choose-network.ts'
import { encodeGatedModel } from './forms/gated.ts'
import type { FormName, NetworkKind, RewardArchitecture } from './forms/reward-form.ts'
import { NETWORKS, REWARD_FORMS } from './forms/reward-forms.ts'
import { auc, type ScoredAnswer } from './metrics.ts'
import { compileRewardModel } from './reward-graphs.ts'
import type { LabelledThought } from './reward-model-types.ts'
import { scoreThoughts } from './score-thoughts.ts'
import { type StateRows, stackThoughts } from './standardise.ts'
import { type Answers, type NetworkTraining, type TrainedNetwork, trainNetwork } from './train-network.ts'

/** Labelled answers in the input of one form. */
export interface FormExamples {
  readonly examples: readonly (Omit<LabelledThought, 'thought'> & { readonly thought: StateRows })[]
  /** Indices of the examples that the form can read. */
  readonly usable: readonly number[]
  readonly parts: Readonly<Record<Part, readonly number[]>>
  /** The most rows of an input, and their width. */
  readonly layers: number
  readonly width: number
  /** Number of each question. */
  readonly groupOf: ReadonlyMap<string, number>
}

export interface FormOptions
  extends NetworkTraining,
    Pick<RewardArchitecture, 'hidden' | 'heads' | 'blocks' | 'feedForward'> {
  /** Number of networks of a kind that is not small. */
  readonly members: number
}

/** Trained network that was chosen for a form. */
export interface TrainedForm {
  /** ONNX. */
  readonly model: Uint8Array
  readonly kind: NetworkKind
  /** Uncalibrated logits of the calibration answers, in the order of their part. */
  readonly logits: readonly number[]
  readonly calibration: Calibration
  readonly bestEpochs: readonly number[]
  /** Scores answers by the model. */
  score(indices: readonly number[]): Promise<readonly ScoredAnswer[]>
  /** Returns the AUC of every kind of network on the held-out answers, e.g. `linear.auc`. */
  networkAucs(options: BootstrapOptions): Promise<Readonly<Record<string, Figure>>>
}

/**
 * Trains every kind of network of the form.
 *
 * @throws ServiceError ABORTED when the signal fires.
 */
export async function trainForm(
  runner: GraphRunner,
  form: FormName,
  { examples, parts, layers, width, groupOf }: FormExamples,
  options: FormOptions,
  run: TrainingRun,
): Promise<TrainedForm> {
  const { networks, standardise } = REWARD_FORMS[form]
  const inputs = (indices: readonly number[]) => indices.map((index) => examples[index]!.thought)
  const answers = (indices: readonly number[]): Answers => ({
    thoughts: stackThoughts(inputs(indices), layers, width),
    labels: indices.map((index) => Number(examples[index]!.correct)),
    weights: indices.map((index) => examples[index]!.weight),
    groups: indices.map((index) => groupOf.get(examples[index]!.question)!),
  })
  const data = { train: answers(parts.train), calibration: answers(parts.calibration) }
  const standard = await standardise(inputs(parts.train), layers, width)

  async function train(kind: NetworkKind, [from, to]: readonly [number, number]) {
    const { hidden, heads, blocks, feedForward } = options
    const architecture = { kind, layers, width, hidden, heads, blocks, feedForward }
    const { smallLr } = NETWORKS[kind]
    const count = smallLr === null ? options.members : 1
    const training = smallLr === null ? options : { ...options, lr: smallLr, dropout: 0 }
    const members: TrainedNetwork[] = []
    for (let member = 0; member < count; member++) {
      const trained = await trainNetwork(runner, architecture, standard, data, training, {
        seed: deriveSeed(run.seed, member),
        signal: run.signal,
        onProgress: (done) => run.onProgress?.(from + ((member + done) / count) * (to - from)),
      })
      members.push(trained)
    }
    const logits = data.calibration.labels.map(
      (_, index) => members.reduce((sum, member) => sum + member.logits[index]!, 0) / count,
    )
    const calibration = fitCalibration({ ...data.calibration, logits })
    const parameters = members.map((member) => member.parameters)
    const model =
      form === 'gated'
        ? encodeGatedModel(parameters[0]!, standard, calibration)
        : encodeModel(compileRewardModel(architecture, standard, parameters, calibration))
    return { kind, model, logits, calibration, bestEpochs: members.map(({ bestEpoch }) => bestEpoch) }
  }

  const shares = progressShares(networks)
  const trained: Awaited<ReturnType<typeof train>>[] = []
  for (const [index, kind] of networks.entries()) trained.push(await train(kind, shares[index]!))
  const best = chooseScores(
    trained.map(({ logits }) => logits),
    data.calibration,
  )
  const chosen = trained[best]!

  async function score(model: Uint8Array, indices: readonly number[]): Promise<readonly ScoredAnswer[]> {
    const graph = await runner.load(model)
    try {
      const scores = await scoreThoughts(graph, answers(indices).thoughts, 'probability')
      return indices.map((index, place) => ({ ...examples[index]!, score: scores[place]! }))
    } finally {
      await graph.close()
    }
  }

  return {
    ...chosen,
    score: (indices) => score(chosen.model, indices),
    async networkAucs(resampling) {
      const aucs: Record<string, Figure> = {}
      for (const { kind, model } of trained) {
        aucs[`${kind}.auc`] = auc(await score(model, parts.heldOut), resampling)
      }
      return aucs
    },
  }
}

/** Share of the work that a small network takes beside a larger one, for progress. */
const SMALL_SHARE = 0.1

function progressShares(networks: readonly NetworkKind[]): readonly (readonly [number, number])[] {
  const sizes = networks.map((kind) => (NETWORKS[kind].smallLr === null ? 1 - SMALL_SHARE : SMALL_SHARE))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let end = 0
  return sizes.map((size) => {
    const from = end
    end += size / total
    return [from, end]
  })
}
