/**
 * @file Scores without labels: how the layer-wise states travel (Chain-of-Embedding, Wang et al., arXiv 2410.13640, section 4;
 * normalised as in their released `score.py`).
 *
 * Of adjacent states h_l, h_{l+1}: M_l = |h_{l+1} - h_l| / |h_L - h_0| and A_l = angle(h_l, h_{l+1}) / angle(h_0, h_L). Higher is
 * better. Neither is a probability, and neither is bounded: they rank candidates of one question.
 */

import type { LatentThought } from '#ports'
import { dot, norm } from '#tensor'

/** CoE-R, the real-space combination: mean over layers of M_l - A_l. */
export function coeReal(thought: LatentThought): number {
  const steps = travel(thought)
  return mean(steps.map(({ magnitude, angle }) => magnitude - angle))
}

/** CoE-C, the complex-space combination: the modulus of the mean over layers of M_l exp(i A_l). */
export function coeComplex(thought: LatentThought): number {
  const steps = travel(thought)
  return Math.hypot(
    mean(steps.map(({ magnitude, angle }) => magnitude * Math.cos(angle))),
    mean(steps.map(({ magnitude, angle }) => magnitude * Math.sin(angle))),
  )
}

interface Step {
  readonly magnitude: number
  readonly angle: number
}

function travel({ data, layers, width }: LatentThought): readonly Step[] {
  const state = (layer: number) => data.subarray(layer * width, (layer + 1) * width)
  const whole = step(state(0), state(layers - 1))
  return Array.from({ length: layers - 1 }, (_, layer) => {
    const { magnitude, angle } = step(state(layer), state(layer + 1))
    return { magnitude: ratio(magnitude, whole.magnitude), angle: ratio(angle, whole.angle) }
  })
}

function step(from: Float32Array, to: Float32Array): Step {
  const cosine = ratio(dot(from, to), norm(from) * norm(to))
  return {
    magnitude: norm(to.map((value, i) => value - from[i]!)),
    // Rounding takes the cosine of parallel states past 1.
    angle: Math.acos(Math.min(1, Math.max(-1, cosine))),
  }
}

/** 0 / 0 is 0: a path that ends where it began has no scale to be measured by, and must not make a NaN of a score. */
function ratio(value: number, whole: number): number {
  return whole === 0 ? 0 : value / whole
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
