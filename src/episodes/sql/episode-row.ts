/** @file Rows of `episodes` joined with their returned candidate, and their conversion to summaries. */

import type { EpisodeSummary, LabelSource, Steering } from '../episode.ts'

/** Columns of a `SummaryRow`; the statement names `episodes` `e` and the chosen candidate `c`. */
export const SUMMARY_COLUMNS = `
  e.id, e.created_at, e.model_id, e.strategy, e.question, e.answer, e.reward, e.base_reward, e.iterations,
  e.admitted, e.status, c.label, c.label_source,
  case
    when e.steers then 'steers'
    when e.verdict is false then 'refuted'
    when not e.admitted then 'notAdmitted'
    when not e.has_latents then 'noLatents'
    when e.superseded_by is not null then 'superseded'
    when e.withdrawn then 'withdrawn'
    else 'dominated'
  end as steering`

export const FROM_EPISODES = `
  from episodes e
  left join candidates c on c.tenant_id = e.tenant_id and c.episode_id = e.id and c.chosen`

export interface SummaryRow {
  readonly id: string
  readonly created_at: Date
  readonly model_id: string
  readonly strategy: string
  readonly question: string
  readonly answer: string | null
  readonly reward: number
  readonly base_reward: number | null
  readonly iterations: number
  readonly admitted: boolean
  readonly steering: Steering
  readonly status: 'pending' | 'indexed'
  readonly label: boolean | null
  readonly label_source: LabelSource | null
}

export function toSummary(row: SummaryRow): EpisodeSummary {
  return {
    id: row.id,
    createdAt: row.created_at.toISOString(),
    modelId: row.model_id,
    strategy: row.strategy,
    question: row.question,
    answer: row.answer,
    reward: row.reward,
    baseReward: row.base_reward,
    iterations: row.iterations,
    admitted: row.admitted,
    steering: row.steering,
    status: row.status,
    label: row.label,
    labelSource: row.label_source,
  }
}
