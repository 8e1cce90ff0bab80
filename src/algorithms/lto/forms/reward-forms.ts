/** @file The table of forms of the reward model, and of their networks. */

import { GATED, GATES } from './gated.ts'
import { LAST, MLP } from './last.ts'
import { LINEAR } from './linear.ts'
import { MEAN, TRANSFORMER } from './mean.ts'
import type { FormName, Network, NetworkKind, RewardForm } from './reward-form.ts'

/** Forms, cheapest in training first; a tie is won by the first. */
export const REWARD_FORMS = { mean: MEAN, last: LAST, gated: GATED } as const satisfies Record<
  FormName,
  RewardForm
>

export const FORM_NAMES = Object.keys(REWARD_FORMS) as readonly FormName[]

export const NETWORKS = {
  linear: LINEAR,
  transformer: TRANSFORMER,
  mlp: MLP,
  gated: GATES,
} as const satisfies Record<NetworkKind, Network>

/** Returns the form that a manifest names; versions without a name are of the form `mean`. Null for another name. */
export function formNamed(name: string | number | undefined): FormName | null {
  return name === undefined ? 'mean' : (FORM_NAMES.find((known) => known === name) ?? null)
}
