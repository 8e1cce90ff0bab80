/**
 * @file Part of a training step after the gradients: their norm, the learning rate, and the update of every
 * parameter.
 */

import { DATA_TYPES, graph, int, type Tape } from '#onnx'
import { int64 } from '#tensor'
import { createFormulas, type Formulas } from '../formulas.ts'
import type { TrainingOptions } from '../types.ts'
import { type AdamScalars, type AdamState, emitAdamW } from './adamw.ts'

export interface TrainedParameter extends AdamState {
  readonly gradient: string
  /** True for parameters of rank 2 and above; biases and scales are not decayed. */
  readonly isDecayed: boolean
}

/** Output names of the scalars that the step reports. */
export interface ReportNames {
  readonly gradientNorm: string
  readonly lr: string
}

/** Largest finite float32; infinity and NaN fail the comparison with it. */
const MAX_FLOAT32 = 3.4028234663852886e38

/**
 * Emits the update of `parameters` by their gradients. `step` names the int64 count of earlier updates.
 * After the step, the value x of the state is output `next(x)`.
 *
 * A norm that is not finite leaves the state unchanged. This is an `If`, because it runs one branch only; a
 * Where on every tensor would cost an extra pass in every step.
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
  const isFiniteNorm = tape.op('LessOrEqual', [
    report.gradientNorm,
    createFormulas(tape).constant(MAX_FLOAT32),
  ])

  const state = [...parameters.flatMap(({ parameter, m, v }) => [parameter, m, v]), step]
  const branch = (emit: (nested: Tape) => readonly string[]) => {
    const nested = tape.nested()
    const outputs = emit(nested).map((name) => ({ name, type: undefined }))
    return graph(nested.graph({ name: 'update', outputs }))
  }
  tape.outputs(state.map(next), 'If', [isFiniteNorm], {
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

  // In fp64: fp32 would keep four digits of 1 - beta2^t in the first steps.
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

/**
 * Emits the learning rate lr min(1, (t + 1) / warmup) (1 + cos(pi progress)) / 2, where `t` counts earlier
 * steps (Loshchilov & Hutter, arXiv 1608.03983, Eq. 5, without restarts). Progress goes from 0 at the end of
 * the warm-up to 1 at `totalSteps` and stays there. The first step has a rate above 0: a warm-up from 0
 * would waste it.
 */
function emitLearningRate(f: Formulas, t: string, options: TrainingOptions): string {
  const { lr, warmupSteps, totalSteps } = options
  const warmup = f.min(1, f.div(f.add(t, 1), Math.max(1, warmupSteps)))
  const decaying = f.div(f.sub(t, warmupSteps), Math.max(1, totalSteps - warmupSteps))
  const progress = f.min(1, f.max(0, decaying))
  const cosine = f.add(1, f.cos(f.mul(Math.PI, progress)))
  return f.mul(f.mul(0.5 * lr, warmup), cosine)
}
