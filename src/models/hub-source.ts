/** @file Models of the Hugging Face hub, by its own client. */

import { createWriteStream } from 'node:fs'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { downloadFile, listFiles, modelInfo } from '@huggingface/hub'
import { coerceError, ServiceError } from '#errors'
import type { ModelSource, SourceFile } from './model-source.ts'

export interface HubOptions {
  /** Base URL of the hub or of a mirror (`HF_ENDPOINT`). */
  readonly endpoint: string
  /** Access token for gated and private models (`HF_TOKEN`); null: none. */
  readonly token: string | null
}

const SOURCE = /^hf:(?<org>[\w.-]+)\/(?<name>[\w.-]+)(?:@(?<revision>[^@\s]+))?$/

/**
 * Returns a source for `hf:ORG/NAME` or `hf:ORG/NAME@REVISION` (branch, tag or commit; `main` by default). All files
 * are those of the commit that the revision names when they are listed.
 *
 * @throws ServiceError MODEL_INVALID for a name of another form
 */
export function hubSource(name: string, { endpoint, token }: HubOptions): ModelSource {
  const parts = SOURCE.exec(name)?.groups
  if (!parts) {
    throw new ServiceError(
      'MODEL_INVALID',
      `add model: expected hf:ORG/NAME or hf:ORG/NAME@REVISION, got ${name}`,
    )
  }
  const repo = `${parts['org']}/${parts['name']}`
  const hubUrl = endpoint.endsWith('/') ? endpoint.slice(0, -1) : endpoint
  const access = { hubUrl, ...(token === null ? {} : { accessToken: token }) }
  let commit = ''
  return {
    name,
    directoryName: `${parts['org']}--${parts['name']}`,
    list: () =>
      ask(`the files of ${name} from ${hubUrl}`, async () => {
        const { revision = 'main' } = parts
        const info = await modelInfo({ name: repo, revision, additionalFields: ['sha'], ...access })
        commit = info.sha
        const files: SourceFile[] = []
        for await (const entry of listFiles({ repo, revision: commit, recursive: true, ...access })) {
          if (entry.type !== 'file') continue
          const { path, size, lfs, oid } = entry
          const git = oid === undefined ? null : ({ algorithm: 'git', hex: oid } as const)
          files.push({ path, bytes: size, digest: lfs ? { algorithm: 'sha256', hex: lfs.oid } : git })
        }
        return { version: commit, files }
      }),
    fetch: (file, target, from, onBytes) =>
      ask(`${file.path} of ${name} from ${hubUrl}`, async () => {
        const blob = await downloadFile({ repo, path: file.path, revision: commit, ...access })
        if (blob?.size !== file.bytes) {
          throw new Error(`${blob === null ? 'no such file' : `${blob.size} bytes instead of ${file.bytes}`}`)
        }
        const count = new Transform({
          transform(chunk: Uint8Array, _, done) {
            onBytes(chunk.length)
            done(null, chunk)
          },
        })
        const stream = from === 0 ? blob.stream() : blob.slice(from).stream()
        await pipeline(Readable.fromWeb(stream), count, createWriteStream(target, { flags: 'a' }))
      }),
  }
}

async function ask<Result>(what: string, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call()
  } catch (thrown) {
    const error = coerceError(thrown)
    // Errors of the file system, such as a full disk; errors of the network are causes of others.
    if ('errno' in error) throw error
    // `fetch` hides the reason in the cause: "fetch failed".
    const { cause } = error
    const reason = cause instanceof Error ? `${error.message} (${describeCause(cause)})` : error.message
    throw new ServiceError('HUB_UNAVAILABLE', `add model: expected ${what}, got: ${reason}`, {
      cause: thrown,
    })
  }
}

function describeCause(cause: Error): string {
  // A refused connection to a name with several addresses has no message of its own.
  const code = 'code' in cause ? String(cause.code) : ''
  return cause.message === '' ? code : cause.message
}
