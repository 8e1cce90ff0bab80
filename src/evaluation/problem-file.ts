/** @file Reads the files that commands are given. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { ServiceError } from '#errors'
import { type Problem, readProblems } from './problems.ts'

/** Name and content of a file of problems, by which measurements of another file are told apart. */
interface ProblemSource {
  readonly file: string
  readonly sha256: string
}

/** @throws ServiceError REQUEST_INVALID for a file that cannot be read, and as `readProblems` does */
export async function readProblemFile(
  path: string,
): Promise<{ readonly problems: Problem[]; readonly source: ProblemSource }> {
  const text = await readTextFile(path)
  const sha256 = createHash('sha256').update(text).digest('hex')
  return { problems: readProblems(text, path), source: { file: basename(path), sha256 } }
}

/** @throws ServiceError REQUEST_INVALID for a file that cannot be read */
export async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ServiceError('REQUEST_INVALID', `${path}: expected a file that can be read`, { cause })
  }
}
