/** @file Compiles the reward network to two ONNX graphs: one for training, one for serving. */

import { OPSET, type TrainableModel } from '#autodiff'
import { ServiceError } from '#errors'
import { createModel, createTape, int, type Model, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'
import { type Parameters, reshape, storeParameters } from '../training/layers.ts'
import type { Calibration } from './calibrate.ts'
import type { Dropout, RewardArchitecture } from './forms/reward-form.ts'
import { NETWORKS } from './forms/reward-forms.ts'
import { emitLogits } from './reward-network.ts'
import type { Standardisation } from './standardise.ts'

/** Mask of units to keep, bool, fed anew for every step. */
export interface DropoutMask {
  readonly name: string
  readonly shape: readonly number[]
}

/** Returns the dropout masks in order of use. */
export function dropoutMasks(architecture: RewardArchitecture, batch: number): readonly DropoutMask[] {
  const shapes = NETWORKS[architecture.kind].masks(architecture, batch)
  return shapes.map((shape, place) => ({ name: `keep_${place}`, shape }))
}

/**
 * Compiles the graph that training differentiates, for batches of `batch` answers out of a data set that
 * stays with it.
 *
 * Inputs: `thoughts` float32 [N, L + 1, D], `labels`, `weights` and `groups` float32 [N] (the data set; a
 * group is the number of a question, below 2^24; without a within-question term there is no such input); `rows` int64 [B] and the dropout masks, fed for every
 * step. Output: `loss` float32 []: binary cross-entropy with logits, averaged by weight, plus `pairWeight`
 * times the within-question term (see `emitPairLoss`).
 */
export function compileRewardTraining(
  architecture: RewardArchitecture,
  standardisation: Standardisation,
  parameters: Parameters,
  {
    answers,
    batch,
    dropout,
    pairWeight,
  }: {
    readonly answers: number
    readonly batch: number
    readonly dropout: number
    readonly pairWeight: number
  },
): TrainableModel {
  const { layers, width } = architecture
  const hasPairs = pairWeight > 0
  const dataSet = ['thoughts', 'labels', 'weights', ...(hasPairs ? ['groups'] : [])]
  const tape = createTape([...parameters.keys(), ...dataSet, 'rows'])
  const masks = dropout > 0 ? dropoutMasks(architecture, batch) : []
  const unused = [...masks]
  const drop: Dropout = (on, values) => {
    const mask = unused.shift()
    if (!mask) throw new ServiceError('INTERNAL', `dropout: expected ${masks.length} uses, got one more`)
    // Kept units are scaled up, so that the serving graph needs no scale.
    const scaled = on.op('Mul', [values, on.constant(float32(1 / (1 - dropout)))])
    return on.op('Where', [mask.name, scaled, on.constant(float32(0))])
  }
  const batchOf = (name: string) => tape.op('Gather', [name, 'rows'])
  const logits = emitLogits(tape, batchOf('thoughts'), architecture, standardisation, {
    dropout: dropout > 0 ? drop : undefined,
  })
  const [labels, weights] = [batchOf('labels'), batchOf('weights')]
  const crossEntropy = emitCrossEntropy(tape, logits, labels, weights)
  if (hasPairs) {
    const pairs = emitPairLoss(tape, logits, labels, weights, batchOf('groups'))
    tape.outputs(['loss'], 'Add', [crossEntropy, tape.op('Mul', [pairs, tape.constant(float32(pairWeight))])])
  } else tape.outputs(['loss'], 'Identity', [crossEntropy])
  const graph = tape.graph({
    name: 'reward_training',
    inputs: [
      value('thoughts', 'float32', [answers, layers, width]),
      value('labels', 'float32', [answers]),
      value('weights', 'float32', [answers]),
      ...(hasPairs ? [value('groups', 'float32', [answers])] : []),
      value('rows', 'int64', [batch]),
      ...masks.map(({ name, shape }) => value(name, 'bool', shape)),
    ],
    outputs: [value('loss', 'float32', [])],
    initializers: storeParameters(parameters),
  })
  return {
    model: createModel(graph, { '': OPSET }),
    parameters: [...parameters.keys()],
    loss: 'loss',
  }
}

/** Emits sum w (softplus(z) - y z) / sum w: -log p(y) of a Bernoulli with logit z, without overflow. */
function emitCrossEntropy(tape: Tape, logits: string, labels: string, weights: string): string {
  const axis = tape.constant(int64([0]))
  const crossEntropy = tape.op('Sub', [tape.op('Softplus', [logits]), tape.op('Mul', [labels, logits])])
  const total = tape.op('ReduceSum', [tape.op('Mul', [weights, crossEntropy]), axis], { keepdims: int(0) })
  return tape.op('Div', [total, tape.op('ReduceSum', [weights, axis], { keepdims: int(0) })])
}

/** Keeps the pair term finite, and 0, for a batch without a pair. */
const MIN_PAIR_MASS = 1e-6

/**
 * Emits the within-question term: the mean of softplus(z_wrong - z_right), i.e. -log sigmoid of the
 * difference, over all pairs of a right and a wrong answer to one question in the batch, weighted by the
 * product of their weights (Burges et al., RankNet, 2005). A score that depends on the question alone gets
 * ln 2 here, whatever its cross-entropy.
 */
function emitPairLoss(tape: Tape, logits: string, labels: string, weights: string, groups: string): string {
  const column = (values: string) => reshape(tape, values, [-1, 1])
  const row = (values: string) => reshape(tape, values, [1, -1])
  const [zero, one] = [tape.constant(float32(0)), tape.constant(float32(1))]
  const distance = tape.op('Abs', [tape.op('Sub', [column(groups), row(groups)])])
  const same = tape.op('Where', [tape.op('Greater', [tape.constant(float32(0.5)), distance]), one, zero])
  const rightMass = tape.op('Mul', [weights, labels])
  const wrongMass = tape.op('Sub', [weights, rightMass])
  const mass = tape.op('Mul', [same, tape.op('Mul', [column(rightMass), row(wrongMass)])]) // [B, B]
  const loss = tape.op('Softplus', [tape.op('Sub', [row(logits), column(logits)])])
  const all = { keepdims: int(0) }
  const axes = tape.constant(int64([0, 1]))
  const total = tape.op('ReduceSum', [tape.op('Mul', [mass, loss]), axes], all)
  const count = tape.op('ReduceSum', [mass, axes], all)
  return tape.op('Div', [total, tape.op('Add', [count, tape.constant(float32(MIN_PAIR_MASS))])])
}

/**
 * Compiles the graph for serving. Input: `thoughts` float32 [N, L + 1, D]. Outputs, float32 [N]: `logit`,
 * the mean over the members, and `probability`, the calibrated P(correct).
 */
export function compileRewardModel(
  architecture: RewardArchitecture,
  standardisation: Standardisation,
  members: readonly Parameters[],
  { scale, bias }: Calibration,
): Model {
  const { layers, width } = architecture
  const scopeOf = (member: number) => `members.${member}.`
  const parameters = new Map(
    members.flatMap((own, member) =>
      [...own].map(([name, tensor]) => [`${scopeOf(member)}${name}`, tensor] as const),
    ),
  )
  const tape = createTape([...parameters.keys(), 'thoughts'])
  const logits = members.map((_, member) =>
    emitLogits(tape, 'thoughts', architecture, standardisation, { scope: scopeOf(member) }),
  )
  tape.outputs(['logit'], 'Mean', logits)
  const scaled = tape.op('Mul', ['logit', tape.constant(float32(scale))])
  const calibrated = tape.op('Add', [scaled, tape.constant(float32(bias))])
  tape.outputs(['probability'], 'Sigmoid', [calibrated])
  const graph = tape.graph({
    name: 'reward_model',
    inputs: [value('thoughts', 'float32', ['N', layers, width])],
    outputs: [value('logit', 'float32', ['N']), value('probability', 'float32', ['N'])],
    initializers: storeParameters(parameters),
  })
  return createModel(graph, { '': OPSET })
}
