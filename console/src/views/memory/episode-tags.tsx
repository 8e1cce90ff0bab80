/** @file What is known of an episode, in a few words. */

import type { EpisodeSummary } from '../../api.ts'

const STEERING: Readonly<Record<EpisodeSummary['steering'], readonly [words: string, why: string]>> = {
  steers: ['leads', 'leads the answers to similar questions'],
  refuted: ['refuted', 'feedback or reference contradicts its answer'],
  notAdmitted: ['reward too low', 'too uncertain to lead other answers'],
  noLatents: ['no latents', 'kept without the latents by which it could lead'],
  superseded: ['superseded', 'the confirmed answer to its question differs'],
  withdrawn: ['withdrawn', 'what led it was deleted or refuted'],
  dominated: ['near-duplicate', 'a better episode of nearly the same question leads in its place'],
}

/** Words for the source of a label. */
export const SOURCES = {
  feedback: 'by feedback',
  reference: 'by the reference',
  majority: 'by a majority of samples',
  self: 'by the model itself',
} as const

export function LabelTag({ label, labelSource }: Pick<EpisodeSummary, 'label' | 'labelSource'>) {
  if (label === null || labelSource === null) return <span class="tag">no label</span>
  return (
    <span class={`tag ${label ? 'accent' : 'danger'}`} title={SOURCES[labelSource]}>
      {label ? 'right' : 'wrong'}
    </span>
  )
}

export function SteeringTag({ steering }: Pick<EpisodeSummary, 'steering'>) {
  const [words, why] = STEERING[steering]
  return (
    <span class="tag" title={why}>
      {words}
    </span>
  )
}
