/** @file What follows the gradients in a training step: their norm, the rate, and the update of every parameter. */

import { DATA_TYPES, graph, int, type Tape } from '#onnx'
import { int64 } from '#tensor'
import { createFormulas } from '../formulas.ts'
import type { TrainingOptions } from '../types.ts'
import { type AdamScalars, type AdamState, emitAdamW } from './adamw.ts'
import { emitLearningRate } from './schedule.ts'

export interface TrainedParameter extends AdamState {
  readonly gradient: string
  /** Only matrices and up are decayed: not biases, not scales. */
  readonly isDecayed: boolean
}

/** Scalars that the step reports, by the names that their outputs bear. */
export interface ReportNames {
  readonly gradientNorm: string
  readonly lr: string
}

/** Neither infinity nor NaN is less than or equal to it. */
const LARGEST_FLOAT32 = 3.4028234663852886e38

/**
 * Emits the update of `parameters` by their gradients. `step` is the int64 count of updates made before. After the step, value
 * x of the state is output `next(x)`.
 *
 * A norm that is not finite leaves everything as it was. `If` runs one branch only, so steps that count pay nothing for it, as
 * a Where on every tensor would make them.
 */
export function emitStep(
  tape: Tape,
  parameters: readonly TrainedParameter[],
  step: string,
  next: (name: string) => string,
  report: ReportNames,
  options: TrainingOptions,
): void {
  const scalars = emitScalars(tape, parameters, step, report, options)
  const isSound = tape.op('LessOrEqual', [
    report.gradientNorm,
    createFormulas(tape).constant(LARGEST_FLOAT32),
  ])

  const state = [...parameters.flatMap(({ parameter, m, v }) => [parameter, m, v]), step]
  const branch = (emit: (nested: Tape) => readonly string[]) => {
    const nested = tape.nested()
    const outputs = emit(nested).map((name) => ({ name, type: undefined }))
    return graph(nested.graph({ name: 'update', outputs }))
  }
  tape.outputs(state.map(next), 'If', [isSound], {
    then_branch: branch((nested) => {
      const f = createFormulas(nested)
      const updated = parameters.map(({ gradient, isDecayed, ...before }) => {
        const weightDecay = isDecayed ? options.weightDecay : 0
        return emitAdamW(f, before, gradient, scalars, { ...options, weightDecay })
      })
      const count = nested.op('Add', [step, nested.constant(int64(1))])
      return [...updated.flatMap(({ parameter, m, v }) => [parameter, m, v]), count]
    }),
    else_branch: branch((nested) => state.map((name) => nested.op('Identity', [name]))),
  })
}

function emitScalars(
  tape: Tape,
  parameters: readonly TrainedParameter[],
  step: string,
  report: ReportNames,
  options: TrainingOptions,
): AdamScalars {
  const { beta1, beta2, clipNorm } = options
  const f = createFormulas(tape)
  const squares = parameters.map(({ gradient }) =>
    tape.op('ReduceSumSquare', [gradient], { keepdims: int(0) }),
  )
  tape.outputs([report.gradientNorm], 'Sqrt', [tape.op('Sum', squares)])

  // In fp64: of 1 - beta2^t, fp32 would keep four digits at the first steps.
  const exact = createFormulas(tape, DATA_TYPES.float64)
  const t = exact.cast(step)
  const correction = (beta: number) => f.cast(exact.sub(1, exact.pow(beta, exact.add(t, 1))))
  const lr = emitLearningRate(exact, t, options)
  tape.outputs([report.lr], 'Cast', [lr], { to: int(DATA_TYPES.float32) })
  return {
    lr: report.lr,
    clip: f.div(clipNorm, f.max(report.gradientNorm, clipNorm)), // min(1, clipNorm / norm)
    correction1: correction(beta1),
    correction2: correction(beta2),
  }
}
