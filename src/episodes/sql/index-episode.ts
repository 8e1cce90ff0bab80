import { type Database, transaction } from '#database'
import { LABEL_BASIS, type LabelBasis, lockSteering, relabelCandidates } from './relabel-candidates.ts'

/** Also locks the row, so that one transaction at a time writes the labels of an episode. */
const SQL = `
  update episodes set status = 'indexed'
  where tenant_id = $1 and id = $2
  returning ${LABEL_BASIS}`

/** Labels an episode's candidates and marks it indexed. @returns false when there is no such episode */
export async function indexEpisode(
  database: Pick<Database, 'pool'>,
  episode: { readonly tenantId: string; readonly id: string },
): Promise<boolean> {
  return transaction(database, 'index episode', async (client) => {
    await lockSteering(client, episode.tenantId)
    const { rows } = await client.query<LabelBasis>(SQL, [episode.tenantId, episode.id])
    if (rows[0] === undefined) return false
    await relabelCandidates(client, episode, rows[0])
    return true
  })
}
