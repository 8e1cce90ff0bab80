import { type Database, transaction } from '#database'
import type { AnswerKeys, Feedback } from '../episode.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'
import { refreshSuperseded, rekeyAnswers, STORED_KEYS, type StoredKeys } from './rekey-answers.ts'
import { LABEL_BASIS, type LabelBasis, lockSteering, relabelCandidates } from './relabel-candidates.ts'

const SQL = `
  update episodes set feedback_correct = $3, feedback_answer = $4
  where tenant_id = $1 and id = $2 and ${KEPT_OF_TENANT}
  returning ${LABEL_BASIS}, ${STORED_KEYS}`

/**
 * Stores the caller's feedback in place of earlier feedback, brings the answers of the episode to the rules of
 * today (`keys`), and relabels. @returns false when there is no such episode
 */
export async function labelEpisode(
  database: Pick<Database, 'pool'>,
  episode: { readonly tenantId: string; readonly id: string },
  feedback: Feedback,
  keys: AnswerKeys | null,
): Promise<boolean> {
  const correct = 'correct' in feedback ? feedback.correct : null
  const answer = 'answer' in feedback ? feedback.answer : null
  return transaction(database, 'label episode', async (client) => {
    await lockSteering(client, episode.tenantId)
    const values = [episode.tenantId, episode.id, correct, answer]
    const { rows } = await client.query<LabelBasis & StoredKeys>(SQL, values)
    const [basis] = rows
    if (basis === undefined) return false
    const rekeyed = keys === null ? null : await rekeyAnswers(client, episode, basis, keys)
    await relabelCandidates(client, episode, { ...basis, ...rekeyed })
    if (rekeyed !== null) await refreshSuperseded(client, episode)
    return true
  })
}
