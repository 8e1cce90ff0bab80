import { type Database, transaction } from '#database'
import { KEPT_OF_TENANT } from './kept-episodes.ts'
import { lockSteering } from './relabel-candidates.ts'

/** Candidates and latents are deleted by cascade. A job that is still queued finds no episode and ends. */
const SQL = `delete from episodes where tenant_id = $1 and id = $2 and ${KEPT_OF_TENANT}`

/** Deletes an episode. @returns false when there is no such episode */
export async function removeEpisode(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  id: string,
): Promise<boolean> {
  return transaction(database, 'remove episode', async (client) => {
    await lockSteering(client, tenantId)
    return (await client.query(SQL, [tenantId, id])).rowCount === 1
  })
}
