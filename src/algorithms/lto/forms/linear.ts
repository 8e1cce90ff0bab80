/** @file The linear probe, with which every form begins that has rows in a fixed order. */

import { linear, reshape } from '../../training/layers.ts'
import type { Network } from './reward-form.ts'

/** Logit w . x + b of all standardised rows of an input. */
export const LINEAR: Network = {
  smallLr: 3e-3,
  draft: (draft, { layers, width }) => draft.linear('probe', layers * width, 1),
  emit: (tape, { standard, scope }, { layers, width }) =>
    reshape(tape, linear(tape, reshape(tape, standard, [-1, layers * width]), `${scope}probe`), [-1]),
  masks: () => [],
}
