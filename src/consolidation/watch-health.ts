/** @file Rolls back versions whose live outcomes fall below those of the version before them. */

import {
  compareOutcomes,
  type Figure,
  hasFallen,
  isDecisive,
  isLookDue,
  type LiveComparison,
  type OutcomeStratum,
} from '#algorithms'
import type { ArtifactStore, WatchedVersion } from '#artifacts'
import { NO_VERSION, type ServedOutcomes, type TrainingStore } from '#episodes'
import type { ConsolidationLogger } from './context.ts'

/** Days before the promotion from which outcomes of the version before are compared with. */
const DAYS_BEFORE = 14
const DAY_MS = 24 * 3_600_000

export interface HealthDeps {
  readonly artifacts: Pick<ArtifactStore, 'watched' | 'recordLook'>
  readonly training: Pick<TrainingStore, 'servedOutcomes'>
  readonly logger: Pick<ConsolidationLogger, 'warn'>
}

/**
 * Looks once at each version that is active since its promotion, when a look is due: compares what callers
 * say (feedback and references) of the answers that it could influence with the answers that the version
 * before it could influence in the 14 days before the promotion. Rolls a version back when its share of right
 * answers has measurably fallen, and logs a warning. Any number of workers may do so at once.
 *
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function watchHealth(deps: HealthDeps): Promise<void> {
  for (const version of await deps.artifacts.watched()) await look(deps, version)
}

async function look(deps: HealthDeps, version: WatchedVersion): Promise<void> {
  const { kind, fingerprint, looks, outcomes: lastOutcomes } = version
  const served = await deps.training.servedOutcomes({ fingerprint, kind, version: version.version })
  const total = served.reduce((sum, { n }) => sum + n, 0)
  if (!isLookDue(looks, lastOutcomes, total)) return
  const strata = await beside(deps, version, served)
  const number = looks + 1
  const comparison = compareOutcomes(strata, number)
  if (comparison === null || !isDecisive(comparison)) return
  const outcomes = Math.floor(comparison.effective.since)
  if (!isLookDue(looks, lastOutcomes, outcomes)) return
  const { before, since } = comparison
  const fall = hasFallen(strata, number) ? { reason: describe(version, comparison), before, since } : null
  const recorded = await deps.artifacts.recordLook(version.id, { look: number, outcomes, fall })
  if (recorded === null || fall === null) return
  deps.logger.warn(
    {
      fingerprint,
      version: version.version,
      to: recorded.to,
      live: since,
      before,
    },
    'live outcomes have fallen: version rolled back',
  )
}

/** Returns the outcomes of the version beside those of the version before it, by tenant and strategy. */
async function beside(
  { training }: HealthDeps,
  { kind, fingerprint, before, activeSince }: WatchedVersion,
  served: readonly ServedOutcomes[],
): Promise<readonly OutcomeStratum[]> {
  const earlier = await training.servedOutcomes({
    fingerprint,
    kind,
    version: before ?? NO_VERSION,
    from: new Date(activeSince.getTime() - DAYS_BEFORE * DAY_MS),
    until: activeSince,
  })
  const nameOf = ({ tenantId, strategy }: ServedOutcomes) => JSON.stringify([tenantId, strategy])
  const byName = new Map(earlier.map((outcomes) => [nameOf(outcomes), outcomes]))
  return served.flatMap((since) => {
    const own = byName.get(nameOf(since))
    return own === undefined ? [] : [{ tenantId: since.tenantId, before: own, since }]
  })
}

function describe({ before }: WatchedVersion, comparison: LiveComparison): string {
  const earlier = before ?? 'no version'
  return `right answers by feedback and references fell to ${show(comparison.since)} from ${show(comparison.before)} with ${earlier}`
}

function show({ value, low, high, n }: Required<Figure>): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}, n = ${n})`
}
