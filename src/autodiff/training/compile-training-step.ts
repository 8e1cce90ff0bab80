/** @file Compiles a network and its optimiser into one graph that takes one training step per run. */

import { ServiceError } from '#errors'
import {
  allNames,
  createTape,
  DATA_TYPES,
  dataTypeName,
  encodeModel,
  type Graph,
  loadTensor,
  type Model,
  removeUnused,
  runPass,
  value,
} from '#onnx'
import { elementCount, float32, int64, type Tensor } from '#tensor'
import { differentiate } from '../differentiate.ts'
import type { TrainableModel, TrainingOptions, TrainingStep } from '../types.ts'
import { emitStep } from './emit-step.ts'

const STEP = 'adam.step'
const OUTPUTS = { gradientNorm: 'adam.gradient_norm', lr: 'adam.lr' } as const
const next = (name: string) => `${name}.next`
const moments = (parameter: string) => ({ m: `adam.m.${parameter}`, v: `adam.v.${parameter}` })

/**
 * Compiles one step of AdamW (PyTorch's, bias-corrected, fp32): forward, backward, clipping by the L2 norm
 * of all gradients together, linear warm-up and cosine decay, update. The parameters become inputs. All
 * other inputs and outputs of the network stay the same, so resident data (a data set from which the network
 * gathers its batches) is an ordinary input of the network.
 *
 * A step whose gradient norm is not finite changes nothing, the step count included; `outputs.gradientNorm`
 * reports the norm.
 *
 * @throws ServiceError NOT_DIFFERENTIABLE as `differentiate`; GRAPH_PRECONDITION when a parameter is not an
 * inline float32 initializer, or a name is taken; REQUEST_INVALID when an option is out of range.
 */
export function compileTrainingStep(network: TrainableModel, options: TrainingOptions): TrainingStep {
  checkOptions(options)
  const { model, gradients } = differentiate(network.model, { loss: network.loss, wrt: network.parameters })
  const state = initialState(network)
  const carry = Object.fromEntries(Object.keys(state).map((name) => [name, next(name)]))

  const tape = createTape(new Set([...allNames(model.graph), ...Object.keys(state)]))
  const parameters = network.parameters.map((parameter) => ({
    parameter,
    ...moments(parameter),
    gradient: gradients.get(parameter)!,
    isDecayed: state[parameter]!.shape.length >= 2,
  }))
  emitStep(tape, parameters, STEP, next, OUTPUTS, options)
  const update = tape.graph({ name: 'update', outputs: [] })

  const learned = new Set(network.parameters)
  const stateValue = (name: string, as: string) => value(as, state[name]!.dtype, state[name]!.shape)
  const graph: Graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...update.nodes],
    initializers: new Map(
      [...model.graph.initializers, ...update.initializers].filter(([name]) => !learned.has(name)),
    ),
    inputs: [...model.graph.inputs, ...Object.keys(state).map((name) => stateValue(name, name))],
    outputs: [
      ...network.model.graph.outputs,
      ...Object.entries(carry).map(([name, after]) => stateValue(name, after)),
      ...Object.values(OUTPUTS).map((name) => value(name, 'float32', [])),
    ],
  }
  const step = runPass(removeUnused, { ...model, graph }).model
  return { bytes: encodeModel(step), state, carry, outputs: OUTPUTS }
}

const isCount = (number: number) => Number.isSafeInteger(number) && number >= 0
const isRate = (number: number) => number >= 0 && number < 1
const isPositive = (number: number) => number > 0 && Number.isFinite(number)

const RANGES = {
  lr: [isPositive, 'a positive number'],
  beta1: [isRate, 'a number in [0, 1)'],
  beta2: [isRate, 'a number in [0, 1)'],
  epsilon: [isPositive, 'a positive number'],
  weightDecay: [(number) => number >= 0 && Number.isFinite(number), 'a number from 0'],
  clipNorm: [isPositive, 'a positive number'],
  warmupSteps: [isCount, 'a whole number from 0'],
  totalSteps: [(number) => isCount(number) && number > 0, 'a whole number from 1'],
} as const satisfies Record<keyof TrainingOptions, readonly [(number: number) => boolean, string]>

function checkOptions(options: TrainingOptions): void {
  for (const [name, [isValid, range]] of Object.entries(RANGES)) {
    const number = options[name as keyof TrainingOptions]
    if (isValid(number)) continue
    throw new ServiceError(
      'REQUEST_INVALID',
      `training options: expected ${name} to be ${range}, got ${number}`,
    )
  }
}

/** Returns the network's parameters, moments of 0 and a step count of 0. */
function initialState({ model, parameters }: TrainableModel): Record<string, Tensor> {
  const weights = parameters.map((name) => [name, loadParameter(model, name)] as const)
  const zeros = weights.flatMap(([parameter, { shape }]) =>
    Object.values(moments(parameter)).map((name) => [
      name,
      float32(new Float32Array(elementCount(shape)), shape),
    ]),
  )
  return { ...Object.fromEntries(weights), ...Object.fromEntries(zeros), [STEP]: int64(0) }
}

function loadParameter(model: Model, name: string): Tensor {
  const stored = model.graph.initializers.get(name)
  if (stored?.dataType === DATA_TYPES.float32 && !stored.external) return loadTensor(stored)
  const got = stored ? `${dataTypeName(stored.dataType)}${stored.external ? ', external' : ''}` : 'none'
  throw new ServiceError(
    'GRAPH_PRECONDITION',
    `training step: expected an inline float32 initializer "${name}", got ${got}`,
  )
}
