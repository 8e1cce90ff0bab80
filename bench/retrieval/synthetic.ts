/** @file Synthetic episodes: single ones for the store's own path, and many at once made by the server. */

import { randomUUID } from 'node:crypto'
import { fromSql } from 'pgvector'
import type { Database } from '#database'
import { createEmbeddingProjections, type NewEpisode, projectBite } from '#episodes'
import { norm, type Random } from '#tensor'

export const FINGERPRINT = 'bench'

export function randomVector(random: Random, length: number): Float32Array {
  const data = Float32Array.from({ length }, () => random.gaussian())
  const scale = 1 / norm(data)
  return data.map((value) => value * scale)
}

export interface Shape {
  readonly tenantId: string
  readonly width: number
  /** Latents of an episode. */
  readonly positions: number
}

export function syntheticEpisode(random: Random, { tenantId, width, positions }: Shape): NewEpisode {
  const candidate = {
    tokens: Array.from({ length: 60 }, (_, index) => index),
    text: 'so '.repeat(40),
    answer: '12',
    reward: -0.1,
    rewardTerms: { verifier: -0.1 },
    logProbability: -0.1,
    selfCertainty: 12,
    thought: null,
  }
  const latents = { length: positions, width }
  return {
    id: randomUUID(),
    tenantId,
    fingerprint: FINGERPRINT,
    judgeFingerprint: '',
    answerRules: '',
    modelId: 'bench',
    strategy: 'auto',
    question: 'what is 3 + 4 * 2?',
    reference: null,
    embedding: randomVector(random, width),
    answer: '12',
    reasoning: 'so '.repeat(40),
    reward: -0.1,
    baseReward: -0.8,
    iterations: 3,
    evaluations: 2,
    generatedTokens: 180,
    stopped: 'reward',
    seed: 1,
    admitted: true,
    candidates: [
      { ...candidate, kind: 'draft', chosen: false, meetsAdmission: false },
      { ...candidate, kind: 'regeneration', chosen: true, meetsAdmission: true },
    ],
    latents: {
      zBase: { ...latents, data: randomVector(random, positions * width) },
      zStar: { ...latents, data: randomVector(random, positions * width) },
    },
  }
}

const CENTRES = 1_000
const NOISES = 4_096
/** Length of each of the two noise vectors that are added to a centre of length 1. */
const NOISE_LENGTH = 0.5

/** Creates the centres of the clusters and the noise, unit vectors in random directions. */
export async function createClusters({ pool }: Pick<Database, 'pool'>, width: number): Promise<void> {
  for (const [table, count] of [
    ['centres', CENTRES],
    ['noises', NOISES],
  ] as const) {
    await pool.query(`
      create unlogged table ${table} as
      select n as id, l2_normalize(array_agg(sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))::vector) as v
      from generate_series(0, ${count - 1}) as n, generate_series(1, ${width})
      group by n`)
    await pool.query(`analyze ${table}`)
  }
}

/** `count` vectors around random centres, in columns `n` (1 to `count`) and `v`. */
function clustered(count: number, width: number): string {
  const scale = `array_fill(${NOISE_LENGTH}::real, array[${width}])::vector`
  return `
    select n, l2_normalize(centres.v + (a.v + b.v) * ${scale}) as v
    from (
      select n, floor(random() * ${CENTRES})::integer as c, floor(random() * ${NOISES})::integer as a,
        floor(random() * ${NOISES})::integer as b
      from generate_series(1, ${count}) as n
    ) as drawn
    join centres on centres.id = drawn.c
    join noises as a on a.id = drawn.a
    join noises as b on b.id = drawn.b`
}

/** Name of the tenant with this number of episodes. */
export const tenantOf = (episodes: number): string => `tenant-${episodes}`

/**
 * Adds the episodes of all tenants, in random order so that their rows lie between each other, each with one
 * latent.
 */
export async function addClustered(
  database: Pick<Database, 'pool'>,
  sizes: readonly number[],
  width: number,
): Promise<void> {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const client = await database.pool.connect()
  // Longer than the pool's bound on a statement.
  const run = (text: string, values: unknown[] = []) => {
    const config = { text, values, query_timeout: 3_600_000 }
    return client.query(config)
  }
  await run('set statement_timeout = 0')
  await run(
    `create unlogged table owners as
    select row_number() over (order by random()) as n, tenant
    from unnest($1::text[], $2::integer[]) as tenants (tenant, size), generate_series(1, size)`,
    [sizes.map(tenantOf), sizes],
  )
  await run(`
    insert into episodes (tenant_id, id, created_at, fingerprint, model_id, strategy, question, embedding,
      reasoning, reward, iterations, evaluations, generated_tokens, stopped, seed, admitted, has_latents)
    select tenant, gen_random_uuid(), now() - n * interval '1 ms', '${FINGERPRINT}', 'bench', 'auto',
      'what is 3 + 4 * 2?', v, repeat('so ', 40), -0.1, 3, 2, 180, 'reward', n, true, true
    from (${clustered(total, width)}) as vectors join owners using (n)`)
  await run(`
    insert into episode_latents (tenant_id, episode_id, length, width, z_base, z_star)
    select tenant_id, id, 1, ${width}, decode(repeat('00', ${2 * width}), 'hex'), decode(repeat('00', ${2 * width}), 'hex')
    from episodes`)
  await run('drop table owners')
  await run('analyze episodes')
  const projections = createEmbeddingProjections(database)
  while ((await projectBite(database, projections)) > 0);
  await run('vacuum full analyze episodes')
  await run('vacuum analyze episode_latents')
  client.release(true)
}

/** Query vectors, drawn like the episodes. */
export async function drawQueries(
  { pool }: Pick<Database, 'pool'>,
  count: number,
  width: number,
): Promise<Float32Array[]> {
  const { rows } = await pool.query<{ v: string }>(`select v::text from (${clustered(count, width)}) as q`)
  return rows.map(({ v }) => Float32Array.from(fromSql(v) as number[]))
}
