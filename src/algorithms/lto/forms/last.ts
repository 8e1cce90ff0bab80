/**
 * @file The form `last`: the states of the scored layers at the answer's last token, read by a linear probe or a
 * small perceptron (SCATR, arXiv 2604.16535).
 *
 * Deviates: SCATR reads one layer. Here the perceptron reads the states of a few.
 */

import { linear, reshape } from '../../training/layers.ts'
import { standardisation } from '../standardise.ts'
import type { Network, RewardForm } from './reward-form.ts'

export const LAST: RewardForm = {
  networks: ['linear', 'mlp'],
  inputOf: ({ last, width }) => (last ? { data: last, layers: last.length / width, width } : null),
  standardise: standardisation,
}

/** One hidden layer of H units with dropout. */
export const MLP: Network = {
  smallLr: null,
  draft(draft, { layers, width, hidden }) {
    draft.linear('head', layers * width, hidden)
    draft.linear('logit', hidden, 1)
  },
  emit(tape, { standard, scope, dropout }, { layers, width }) {
    const rows = reshape(tape, standard, [-1, layers * width])
    const head = dropout(tape, tape.op('Gelu', [linear(tape, rows, `${scope}head`)]))
    return reshape(tape, linear(tape, head, `${scope}logit`), [-1])
  },
  masks: ({ hidden }, batch) => [[batch, hidden]],
}
