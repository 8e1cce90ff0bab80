import type { PoolClient } from 'pg'
import type { CandidateKind, Feedback } from '../episode.ts'
import { labelCandidates } from '../label-candidates.ts'

/** The stored facts of an episode from which labels are derived. */
export interface LabelBasis {
  readonly reference: string | null
  readonly feedback_correct: boolean | null
  readonly feedback_answer: string | null
}

/** The columns of a `LabelBasis`. */
export const LABEL_BASIS = 'reference, feedback_correct, feedback_answer'

interface Row {
  readonly kind: CandidateKind
  readonly answer: string | null
  readonly chosen: boolean
  readonly meetsAdmission: boolean
}

const SELECT = `
  select kind, answer, chosen, admissible as "meetsAdmission"
  from candidates where tenant_id = $1 and episode_id = $2
  order by position`

const UPDATE = `
  update candidates set label = labels.label, label_source = labels.source, label_weight = labels.weight
  from unnest($3::boolean[], $4::text[], $5::double precision[]) with ordinality
    as labels (label, source, weight, ordinal)
  where tenant_id = $1 and episode_id = $2 and position = labels.ordinal - 1`

const LOCK = "select pg_advisory_xact_lock(hashtextextended('steering ' || $1, 0))"

/**
 * Serialises the transactions that label, delete or exclude episodes of one tenant. Each of them updates other
 * episodes too (question, descendants, near-duplicates), so it must take this lock before it locks an episode's row.
 */
export async function lockSteering(client: PoolClient, tenantId: string): Promise<void> {
  await client.query(LOCK, [tenantId])
}

const REFRESH = 'select refresh_steering($1, $2)'

/**
 * Labels all candidates of an episode again, and derives anew which episodes steer. The caller's transaction
 * must hold the lock of `lockSteering` and a lock on the episode's row.
 */
export async function relabelCandidates(
  client: PoolClient,
  { tenantId, id }: { tenantId: string; id: string },
  basis: LabelBasis,
): Promise<void> {
  const { rows } = await client.query<Row>(SELECT, [tenantId, id])
  const labels = labelCandidates({
    feedback: feedbackOf(basis),
    reference: basis.reference,
    candidates: rows,
  })
  await client.query(UPDATE, [
    tenantId,
    id,
    labels.map(({ label }) => label),
    labels.map(({ labelSource }) => labelSource),
    labels.map(({ labelWeight }) => labelWeight),
  ])
  await client.query(REFRESH, [tenantId, id])
}

function feedbackOf({ feedback_correct, feedback_answer }: LabelBasis): Feedback | null {
  if (feedback_correct !== null) return { correct: feedback_correct }
  return feedback_answer === null ? null : { answer: feedback_answer }
}
