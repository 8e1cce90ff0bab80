/** @file A network and an optimiser, compiled into one graph that takes one step per run. */

import { ServiceError } from '#errors'
import {
  allNames,
  createTape,
  DATA_TYPES,
  encodeModel,
  graph as graphAttribute,
  loadTensor,
  type Model,
  removeUnused,
  runPass,
  type Tape,
  value,
} from '#onnx'
import { float32, int64, type Tensor } from '#tensor'
import { differentiate } from '../differentiate.ts'
import { createFormulas } from '../formulas.ts'
import type { TrainableModel, TrainingOptions, TrainingStep } from '../types.ts'
import { type AdamScalars, type AdamState, emitAdamW } from './adamw.ts'
import { emitLearningRate } from './schedule.ts'

interface Parameter extends AdamState {
  readonly weights: Tensor
  readonly gradient: string
}

const STEP = 'adam.step'
const NEXT = '.next'
const OUTPUTS = { gradientNorm: 'adam.gradient_norm', lr: 'adam.lr' } as const

/**
 * Compiles one step of AdamW (PyTorch's, bias-corrected, fp32) on all parameters: forward, backward, clipping by the L2 norm of
 * all gradients together (min(1, clipNorm / norm)), the rate of `emitLearningRate`, update. The parameters become inputs of the
 * graph; every other input and output of the network stays as it is, so what a trainer keeps resident besides (a data set that
 * the network gathers from) is one more input of the network.
 *
 * A step whose gradient norm is not finite changes nothing, the step count included; `gradientNorm` says so.
 *
 * @throws ServiceError NOT_DIFFERENTIABLE as `differentiate`; GRAPH_PRECONDITION when a parameter is no float32 initializer with
 * its numbers inline; REQUEST_INVALID when an option is out of range.
 */
export function compileTrainingStep(network: TrainableModel, options: TrainingOptions): TrainingStep {
  checkOptions(options)
  const { model, gradients } = differentiate(network.model, { loss: network.loss, wrt: network.parameters })
  const parameters = network.parameters.map(
    (name): Parameter => ({
      parameter: name,
      m: `adam.m.${name}`,
      v: `adam.v.${name}`,
      weights: loadWeights(network.model, name),
      gradient: gradients.get(name)!,
    }),
  )
  const state = Object.fromEntries<Tensor>([
    ...parameters.map(({ parameter, weights }) => [parameter, weights] as const),
    ...parameters.flatMap(({ m, v, weights: { shape } }) =>
      [m, v].map((name) => [name, zeros(shape)] as const),
    ),
    [STEP, int64(0)],
  ])
  const names = Object.keys(state)
  const carry = Object.fromEntries(names.map((name) => [name, `${name}${NEXT}`]))

  const learned = new Set(network.parameters)
  const tape = createTape([...allNames(model.graph), ...names.filter((name) => !learned.has(name))])
  emitStep(tape, parameters, options)
  const stateValue = (name: string, as = name) => value(as, state[name]!.dtype, state[name]!.shape)
  const update = tape.graph({ name: 'training_step', outputs: [] })
  const graph = {
    ...model.graph,
    inputs: [...model.graph.inputs, ...names.map((name) => stateValue(name))],
    outputs: [
      ...network.model.graph.outputs,
      ...names.map((name) => stateValue(name, carry[name])),
      ...Object.values(OUTPUTS).map((name) => value(name, 'float32', [])),
    ],
    nodes: [...model.graph.nodes, ...update.nodes],
    initializers: new Map(
      [...model.graph.initializers, ...update.initializers].filter(([name]) => !learned.has(name)),
    ),
  }
  const step = runPass(removeUnused, { ...model, graph }).model
  return { bytes: encodeModel(step), state, carry, outputs: OUTPUTS }
}

function emitStep(tape: Tape, parameters: readonly Parameter[], options: TrainingOptions): void {
  const f = createFormulas(tape)
  const squares = parameters.map(({ gradient }) => f.op('ReduceSumSquare', [gradient], NO_AXES_KEPT))
  tape.outputs([OUTPUTS.gradientNorm], 'Sqrt', [f.op('Sum', squares)])
  const norm = OUTPUTS.gradientNorm

  // In fp64: 1 - beta2^t has four digits left in fp32 at the first steps.
  const exact = createFormulas(tape, DATA_TYPES.float64)
  const t = exact.cast(STEP)
  const single = (x: string) => f.cast(x)
  const correction = (beta: number) => single(exact.sub(1, exact.pow(beta, exact.add(t, 1))))
  tape.outputs([OUTPUTS.lr], 'Cast', [emitLearningRate(exact, t, options)], {
    to: { type: 'int', value: 1n },
  })
  const scalars: AdamScalars = {
    lr: OUTPUTS.lr,
    clip: f.div(options.clipNorm, f.max(norm, options.clipNorm)),
    correction1: correction(options.beta1),
    correction2: correction(options.beta2),
  }

  // `If` runs one branch: steps that count pay nothing for those that do not.
  const isSound = f.op('LessOrEqual', [norm, LARGEST_FLOAT32])
  const states = parameters.flatMap(({ parameter, m, v }) => [parameter, m, v])
  const branch = (emit: (tape: Tape) => readonly string[]) => {
    const nested = tape.nested()
    const outputs = emit(nested)
    return graphAttribute(
      nested.graph({ name: 'update', outputs: outputs.map((name) => ({ name, type: undefined })) }),
    )
  }
  tape.outputs(
    [...states, STEP].map((name) => `${name}${NEXT}`),
    'If',
    [isSound],
    {
      then_branch: branch((nested) => {
        const g = createFormulas(nested)
        const next = parameters.map((p) => {
          const decay = p.weights.shape.length >= 2 ? options.weightDecay : 0
          return emitAdamW(g, p, p.gradient, scalars, options, decay)
        })
        const count = nested.op('Add', [STEP, tape.constant(int64(1))])
        return [...next.flatMap(({ parameter, m, v }) => [parameter, m, v]), count]
      }),
      else_branch: branch((nested) => [...states, STEP].map((name) => nested.op('Identity', [name]))),
    },
  )
}

const NO_AXES_KEPT = { keepdims: { type: 'int', value: 0n } } as const
/** Neither infinity nor NaN is less or equal. */
const LARGEST_FLOAT32 = 3.4028234663852886e38

function loadWeights(model: Model, name: string): Tensor {
  const stored = model.graph.initializers.get(name)
  if (stored?.dataType === DATA_TYPES.float32 && !stored.external) return loadTensor(stored)
  throw new ServiceError(
    'GRAPH_PRECONDITION',
    `training step: expected parameter "${name}" among the float32 initializers, got ${stored ? 'another type' : 'none'}`,
  )
}

function zeros(shape: readonly number[]): Tensor {
  return float32(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape)
}

function checkOptions(options: TrainingOptions): void {
  const { lr, beta1, beta2, epsilon, weightDecay, clipNorm, warmupSteps, totalSteps } = options
  const faults = [
    [lr > 0 && Number.isFinite(lr), `lr > 0, got ${lr}`],
    [beta1 >= 0 && beta1 < 1, `beta1 in [0, 1), got ${beta1}`],
    [beta2 >= 0 && beta2 < 1, `beta2 in [0, 1), got ${beta2}`],
    [epsilon > 0, `epsilon > 0, got ${epsilon}`],
    [weightDecay >= 0, `weightDecay >= 0, got ${weightDecay}`],
    [clipNorm > 0, `clipNorm > 0, got ${clipNorm}`],
    [Number.isInteger(warmupSteps) && warmupSteps >= 0, `whole warmupSteps >= 0, got ${warmupSteps}`],
    [Number.isInteger(totalSteps) && totalSteps > 0, `whole totalSteps > 0, got ${totalSteps}`],
  ] as const
  const fault = faults.find(([isSound]) => !isSound)
  if (fault) throw new ServiceError('REQUEST_INVALID', `training options: expected ${fault[1]}`)
}
