/** @file A training step on real ONNX Runtime, run by run. */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import type { TrainingStep } from '#autodiff'
import type { Tensor } from '#tensor'

export interface TrainingProcess {
  /** Takes one step and returns the scalars that were asked for. */
  step(feeds: Readonly<Record<string, Tensor>>, scalars: readonly string[]): Promise<readonly number[]>
  /** A value of the state as it is now. */
  read(name: string): Tensor
}

/** Starts training: state in hand, carried from run to run as the engine does. */
export async function startTraining(training: TrainingStep): Promise<TrainingProcess> {
  const session = await InferenceSession.create(training.bytes, { logSeverityLevel: 3 })
  let state: Readonly<Record<string, Tensor>> = training.state
  return {
    async step(feeds, scalars) {
      const inputs = Object.entries({ ...state, ...feeds }).map(
        ([name, { dtype, data, shape }]) =>
          [name, new OrtTensor(dtype as 'float32', data as Float32Array, shape)] as const,
      )
      const fetches = [...Object.values(training.carry), ...scalars]
      const results = await session.run(Object.fromEntries(inputs), fetches)
      state = Object.fromEntries(
        Object.entries(training.carry).map(([name, after]) => {
          const { type, data, dims } = results[after]!
          return [name, { dtype: type, data, shape: dims } as Tensor]
        }),
      )
      return scalars.map((name) => Number(results[name]!.data[0]))
    },
    read: (name) => state[name]!,
  }
}
