/** @file Workload of both sides: a network, answers to train it on, and the files that PyTorch reads. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom, float32, type Tensor } from '#tensor'
import type { RewardArchitecture } from '../../src/algorithms/lto/forms/reward-form.ts'
import { createParameters } from '../../src/algorithms/lto/reward-network.ts'
import { type Standardisation, stackThoughts, standardisation } from '../../src/algorithms/lto/standardise.ts'
import type { Answers } from '../../src/algorithms/lto/train-network.ts'
import type { Parameters } from '../../src/algorithms/training/layers.ts'

export interface Size {
  readonly name: string
  readonly layers: number
  readonly width: number
  readonly hidden: number
  readonly examples: number
}

/** Sizes of the comparison. Training chooses these hidden widths by itself for thoughts of these widths. */
export const SIZES: readonly Size[] = [
  { name: 'bundled', layers: 5, width: 128, hidden: 32, examples: 4500 },
  { name: 'larger', layers: 29, width: 1024, hidden: 256, examples: 512 },
]

export interface Workload {
  readonly architecture: RewardArchitecture
  readonly standard: Standardisation
  readonly initial: Parameters
  readonly answers: Answers
}

/** Default options of reward-model training. */
export const OPTIONS = { batch: 64, lr: 1e-3, weightDecay: 0.1, dropout: 0.2 }

/**
 * Creates random thoughts; a planted direction decides which are right. Every eighth ends a layer early and
 * some labels weigh less, so that masks and weights take part.
 */
export async function createWorkload(
  { layers, width, hidden, examples }: Size,
  seed: number,
): Promise<Workload> {
  const random = createRandom(seed)
  // A sum of three uniforms is close enough to a Gaussian, and fast.
  const bell = () => 2 * (random.uniform() + random.uniform() + random.uniform()) - 3
  const direction = Float32Array.from({ length: width }, bell)
  const thoughts = Array.from({ length: examples }, (_, index) => {
    const having = index % 8 === 7 ? layers - 1 : layers
    return { layers: having, width, data: Float32Array.from({ length: having * width }, bell) }
  })
  const labels = thoughts.map(({ data }) => {
    const along = direction.reduce((sum, part, feature) => sum + part * data[feature]!, 0)
    return along / Math.sqrt(width) + 0.5 * bell() > 0 ? 1 : 0
  })
  const architecture: RewardArchitecture = {
    kind: 'transformer',
    layers,
    width,
    hidden,
    heads: 4,
    blocks: 2,
    feedForward: 2 * hidden,
  }
  return {
    architecture,
    standard: await standardisation(thoughts, layers, width),
    initial: createParameters(architecture, seed),
    answers: {
      thoughts: stackThoughts(thoughts, layers, width),
      labels,
      weights: labels.map((_, index) => (index % 3 === 0 ? 0.5 : 1)),
      groups: labels.map((_, index) => index),
    },
  }
}

/** Writes the tensors as raw little-endian float32, and their names, files and shapes as data.json. */
export async function writeWorkload(
  folder: string,
  { architecture, standard, initial, answers }: Workload,
  options: Readonly<Record<string, number>>,
): Promise<void> {
  const tensors: Record<string, Tensor<'float32'>> = {
    thoughts: answers.thoughts,
    labels: float32(answers.labels),
    weights: float32(answers.weights),
    mean: standard.mean,
    inverse_deviation: standard.inverseDeviation,
    ...Object.fromEntries([...initial].map(([name, tensor]) => [`parameters/${name}`, tensor])),
  }
  const files: Record<string, readonly [string, readonly number[]]> = {}
  for (const [place, [name, { data, shape }]] of Object.entries(tensors).entries()) {
    files[name] = [`${place}.f32`, shape]
    await writeFile(
      join(folder, `${place}.f32`),
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    )
  }
  await writeFile(join(folder, 'data.json'), JSON.stringify({ architecture, options, tensors: files }))
}
