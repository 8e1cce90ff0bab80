/** @file The artifact store: checks ids and checksums, then runs one statement or transaction per method. */

import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { type Database, isUuid, storableText } from '#database'
import { ServiceError } from '#errors'
import type { Artifact } from './artifact.ts'
import { activateArtifact } from './sql/activate-artifact.ts'
import { addArtifact } from './sql/add-artifact.ts'
import { artifactBytes } from './sql/artifact-bytes.ts'
import { artifactManifest } from './sql/artifact-manifest.ts'
import { listArtifacts } from './sql/list-artifacts.ts'
import { markedArtifacts } from './sql/marked-artifacts.ts'
import type { VersionMark } from './sql/move-mark.ts'
import { recordLook } from './sql/record-look.ts'
import { rejectArtifact } from './sql/reject-artifact.ts'
import { settleArtifact } from './sql/settle-artifact.ts'
import { watchedVersions } from './sql/watched-versions.ts'
import type { ArtifactStore } from './stores.ts'

/** Creates the store over Postgres. Any number of processes may use it at once. */
export function createArtifactStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): ArtifactStore {
  async function markedByKind(mark: VersionMark, fingerprint: string) {
    const marked = await markedArtifacts(database, fingerprint, mark)
    return Object.fromEntries(marked.map((artifact) => [artifact.kind, artifact]))
  }

  return {
    async add(artifact) {
      const { consolidationId } = artifact
      const added = isUuid(consolidationId)
        ? await addArtifact(database, artifact, await sha256Of(artifact.bytes))
        : null
      if (added === null) {
        throw new ServiceError(
          'CONSOLIDATION_NOT_FOUND',
          `add artifact: expected a consolidation, got none for ${consolidationId}`,
        )
      }
      return added
    },

    async bytes(id) {
      const hash = createHash('sha256')
      const stored = expectArtifact(
        'read artifact',
        id,
        isUuid(id) ? await artifactBytes(database, id, (piece) => hash.update(piece)) : null,
      )
      if (stored.bytes === null) throw withoutBytes('read artifact', id)
      if (hash.digest('hex') !== stored.sha256) throw damaged('read artifact', id, stored.sha256)
      return stored.bytes
    },

    manifest: async (id) =>
      expectArtifact('read manifest', id, isUuid(id) ? await artifactManifest(database, id) : null),

    list: (filter) => listArtifacts(database, filter),

    active: (fingerprint) => markedByKind('active', fingerprint),
    anchors: (fingerprint) => markedByKind('anchor', fingerprint),

    async settle(
      id,
      { promoted, isAnchor = false, isReviewed = false, comparedWith, reason, metrics, baseline },
    ) {
      const verdict = {
        passed: promoted,
        isAnchor,
        isReviewed,
        comparedWith,
        metrics,
        baseline,
        reason: reason === null ? null : storableText(reason),
      }
      return expectArtifact(
        'settle artifact',
        id,
        isUuid(id) ? await settleArtifact(database, id, verdict) : null,
      )
    },

    async activate(id, fingerprint, { force = false } = {}) {
      const check = (artifact: Artifact, intact: boolean): void => {
        expectModel('activate artifact', artifact, fingerprint)
        if (!artifact.available) throw withoutBytes('activate artifact', artifact.version)
        if (!intact) throw damaged('activate artifact', id, artifact.sha256)
        const isWaiting = artifact.status === 'candidate' && artifact.passed
        if (artifact.status !== 'promoted' && !isWaiting && !force) {
          throw new ServiceError(
            'ARTIFACT_NOT_PROMOTED',
            `activate artifact: expected a promoted artifact or force, got ${artifact.version}, which is ${artifact.status}`,
          )
        }
      }
      return expectArtifact(
        'activate artifact',
        id,
        isUuid(id) ? await activateArtifact(database, id, { check, force }) : null,
      )
    },

    async reject(id, { fingerprint, reason }) {
      const check = (artifact: Artifact): void => {
        expectModel('reject artifact', artifact, fingerprint)
        if (artifact.status === 'candidate' && artifact.passed) return
        throw new ServiceError(
          'ARTIFACT_NOT_WAITING',
          `reject artifact: expected a version that waits for a review, got ${artifact.version}, which is ${artifact.status}`,
        )
      }
      const words =
        reason === null ? 'rejected by an operator' : `rejected by an operator: ${storableText(reason)}`
      return expectArtifact(
        'reject artifact',
        id,
        isUuid(id) ? await rejectArtifact(database, id, { check, reason: words }) : null,
      )
    },

    watched: () => watchedVersions(database),
    recordLook: (id, look) => recordLook(database, id, look),
  }
}

/** Bytes that are hashed between two turns of the event loop. */
const HASHED_BYTES = 2 ** 22

async function sha256Of(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < bytes.length; start += HASHED_BYTES) {
    hash.update(bytes.subarray(start, start + HASHED_BYTES))
    await yieldToEventLoop()
  }
  return hash.digest('hex')
}

function expectArtifact<Found>(operation: string, id: string, found: Found | null): Found {
  if (found === null) {
    throw new ServiceError('ARTIFACT_NOT_FOUND', `${operation}: expected an artifact, got none for ${id}`)
  }
  return found
}

function expectModel(operation: string, artifact: Artifact, fingerprint: string): void {
  if (artifact.fingerprint === fingerprint) return
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `${operation}: expected an artifact of model ${fingerprint}, got ${artifact.version} of ${artifact.fingerprint}`,
  )
}

function withoutBytes(operation: string, version: string): ServiceError {
  return new ServiceError(
    'ARTIFACT_INVALID',
    `${operation}: expected a version with stored bytes, got ${version}, whose bytes were deleted: only the active version, the anchor and the last promoted versions keep theirs`,
  )
}

function damaged(operation: string, id: string, sha256: string): ServiceError {
  return new ServiceError(
    'ARTIFACT_INVALID',
    `${operation}: expected bytes with SHA-256 ${sha256}, got different bytes: ${id} is damaged`,
  )
}
