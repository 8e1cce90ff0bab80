/**
 * @file Adds a model: fetches the files that serving needs into a temporary directory, checks the model there, and
 * renames the directory at the end. A run that was broken off leaves only the temporary directory, and the next
 * run continues it. A run locks the temporary directory; a second one at the same time is refused.
 */

import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, matchesGlob, posix, resolve } from 'node:path'
import { graphCandidates, readJsonIfThere, SIDE_FILES, stepGraphFiles } from '#engine'
import { ServiceError } from '#errors'
import { LOCK_FILES, lockFolder } from '#folder-lock'
import { decodeModel, externalDataLocations } from '#onnx'
import { type CheckOptions, checkModel } from './check-model.ts'
import {
  digestFile,
  findChanged,
  MANIFEST_FILE,
  type Manifest,
  type ManifestFile,
  readManifest,
} from './manifest.ts'
import type { ModelReport } from './model-report.ts'
import type { ModelSource, SourceFile } from './model-source.ts'
import type { Progress } from './progress.ts'

export interface AddOptions {
  readonly source: ModelSource
  /** Directory that the model gets. */
  readonly target: string
  /** Glob of the graph to take, by path or by name; null: the first in the order of the engine. */
  readonly only: string | null
  readonly check: CheckOptions
  readonly progress: Progress
}

/** `present`: the model was there, and its files are those of its manifest. `refused`: it cannot be served. */
export interface Added {
  readonly outcome: 'added' | 'present' | 'refused'
  readonly manifest: Manifest
  readonly report: ModelReport
  /** Graphs of the source that were not taken. */
  readonly otherGraphs: readonly string[]
}

/** File of the temporary directory with the version that its files are of. */
const VERSION_FILE = 'version.json'

/**
 * @throws ServiceError MODEL_INVALID when the directory holds something else, a file of the source is missing or
 * damaged, or no graph fits `only`; HUB_UNAVAILABLE
 */
export async function addModel(options: AddOptions): Promise<Added> {
  const target = resolve(options.target)
  // Before the lock, which needs a folder that can be written.
  const present = await describePresent(options, target)
  if (present !== null) return present
  const choice = await chooseFiles(options)
  const folder = join(dirname(target), `.${basename(target)}.partial`)
  await mkdir(folder, { recursive: true })
  const lock = lockFolder(folder)
  if ('owner' in lock) {
    throw invalid(
      `${target} to be added by one run at a time`,
      `process ${lock.owner} that adds it; wait for its end`,
    )
  }
  try {
    // Another run may have added it in the meantime.
    const added = await describePresent(options, target)
    if (added === null) return await fetchModel(options, choice, target, folder)
    await rm(folder, { recursive: true })
    return added
  } finally {
    lock.release()
  }
}

/** Returns the outcome for a model that is in `target` already; null when there is none. */
async function describePresent({ source, only, check }: AddOptions, target: string): Promise<Added | null> {
  const manifest = await findPresent(target, source.name, only)
  if (manifest === null) return null
  return { outcome: 'present', manifest, report: await checkModel(target, check), otherGraphs: [] }
}

interface Choice {
  readonly version: string
  /** All files of the source. */
  readonly files: readonly SourceFile[]
  /** Path of the graph to take. */
  readonly graph: string
  readonly otherGraphs: readonly string[]
}

/** Lists the source, before anything is written for it. */
async function chooseFiles({ source, only }: AddOptions): Promise<Choice> {
  const { version, files } = await source.list()
  const graphs = graphCandidates(files.map(({ path }) => path))
  const graph = chooseGraph(graphs, only, source.name)
  return { version, files, graph, otherGraphs: graphs.filter((path) => path !== graph) }
}

/** Fetches the model into `folder`, checks it, and renames the folder to `target`. */
async function fetchModel(
  { source, only, check, progress }: AddOptions,
  { version, files, graph, otherGraphs }: Choice,
  target: string,
  folder: string,
): Promise<Added> {
  await openPartial(folder, `${source.name} ${version}`)

  const fetched = new Map<string, ManifestFile>()
  const take = async (path: string, namedBy: string): Promise<void> => {
    const file = files.find((each) => each.path === path)
    if (file === undefined || !isInside(path)) {
      throw invalid(`${path} (named by ${namedBy}) among the files of ${source.name}`, 'no such file')
    }
    fetched.set(path, await fetchFile(source, file, folder, progress))
  }
  for (const path of SIDE_FILES) {
    if (files.some((file) => file.path === path)) await take(path, 'the layout of a model')
  }
  const mean = fetched.has('circadian.json') ? await readMeanName(folder) : null
  if (mean !== null) await take(mean, 'circadian.json')
  for (const file of stepGraphFiles(graph)) {
    await take(file, 'the layout of a model')
    for (const location of await readLocations(join(folder, file))) {
      await take(posix.join(dirname(file), location), file)
    }
  }

  await removeOthers(folder, fetched)
  const manifest: Manifest = { source: source.name, only, version, files: [...fetched.values()] }
  const report = await checkModel(folder, check)
  if (!report.servable) return { outcome: 'refused', manifest, report, otherGraphs }
  await writeFile(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`)
  await rm(join(folder, VERSION_FILE))
  await rename(folder, target)
  for (const name of LOCK_FILES) await rm(join(target, name), { force: true })
  const model = report.model && { ...report.model, id: basename(target) }
  return { outcome: 'added', manifest, report: { ...report, directory: target, model }, otherGraphs }
}

/** Returns the manifest of a model of this source in `target`; null when there is no such directory. */
async function findPresent(target: string, source: string, only: string | null): Promise<Manifest | null> {
  if ((await stat(target).catch(() => null)) === null) return null
  const advice = 'name another directory with --to, or remove this one'
  const manifest = await readManifest(target)
  if (manifest === null)
    throw invalid(
      `${target} to be free`,
      `something that was not added, or has no whole ${MANIFEST_FILE}; ${advice}`,
    )
  if (manifest.source !== source || manifest.only !== only) {
    const pattern = manifest.only === null ? '' : ` with --only ${manifest.only}`
    throw invalid(`${target} to hold ${source}`, `${manifest.source}${pattern}; ${advice}`)
  }
  const changed = await findChanged(target, manifest)
  if (changed.length > 0) {
    throw invalid(
      `the files of ${target} to have the sha256 of ${MANIFEST_FILE}`,
      `other content in ${changed.join(', ')}; remove the directory and add the model again`,
    )
  }
  return manifest
}

function chooseGraph(graphs: readonly string[], only: string | null, source: string): string {
  const graph = graphs.find(
    (path) => only === null || matchesGlob(path, only) || matchesGlob(basename(path), only),
  )
  if (graph !== undefined) return graph
  const wanted = only === null ? 'onnx/model.onnx or model.onnx' : `a graph that matches ${only}`
  const found =
    graphs.length === 0
      ? 'no ONNX graph; export the model with optimum-cli (docs/models.md), or take a repository with ONNX files'
      : graphs.join(', ')
  throw invalid(`${wanted} in ${source}`, found)
}

/** Empties a temporary directory with files of another version. */
async function openPartial(folder: string, version: string): Promise<void> {
  const file = join(folder, VERSION_FILE)
  const text = JSON.stringify(version)
  if ((await readFile(file, 'utf8').catch(() => null)) === text) return
  for (const name of await readdir(folder)) {
    if (!isOfLock(name)) await rm(join(folder, name), { recursive: true })
  }
  await writeFile(file, text)
}

/** Fetches one file, from the bytes on that an earlier run has left; from its beginning if those were wrong. */
async function fetchFile(
  source: ModelSource,
  file: SourceFile,
  folder: string,
  progress: Progress,
): Promise<ManifestFile> {
  const { path, bytes, digest } = file
  const target = join(folder, path)
  const part = `${target}.part`
  await mkdir(dirname(target), { recursive: true })
  const isRight = async (name: string) => {
    const digests = await digestFile(name)
    const right = digest === null || digests[digest.algorithm] === digest.hex
    return right ? digests.sha256 : null
  }
  // A file without a digest may have changed at its source since an earlier run.
  if (digest !== null && (await sizeOf(target)) === bytes) {
    const sha256 = await isRight(target)
    if (sha256 !== null) return { path, bytes, sha256 }
  }
  for (;;) {
    const size = await sizeOf(part)
    const from = size !== null && size < bytes ? size : 0
    if (from === 0) await rm(part, { force: true })
    progress.begin(path, bytes, from)
    try {
      if (bytes === 0) await writeFile(part, '')
      else await source.fetch(file, part, from, progress.add)
    } finally {
      progress.end()
    }
    const sha256 = (await sizeOf(part)) === bytes ? await isRight(part) : null
    if (sha256 !== null) {
      await rename(part, target)
      return { path, bytes, sha256 }
    }
    await rm(part)
    if (from === 0) {
      throw invalid(`${bytes} bytes of ${path} with the digest of ${source.name}`, 'other content; try again')
    }
  }
}

async function sizeOf(file: string): Promise<number | null> {
  return (await stat(file).catch(() => null))?.size ?? null
}

/** Returns the file with the embedding mean that a fetched profile names; null when it names none. */
async function readMeanName(folder: string): Promise<string | null> {
  try {
    const profile = await readJsonIfThere(folder, 'circadian.json')
    const { mean = null } = Object(profile?.['embedding'])
    return typeof mean === 'string' ? mean : null
  } catch {
    // The check reports the profile.
    return null
  }
}

/** Returns the locations of a graph's external data; none when the file is no graph, which the check reports. */
async function readLocations(file: string): Promise<readonly string[]> {
  const bytes = await readFile(file)
  try {
    return externalDataLocations(decodeModel(bytes))
  } catch {
    return []
  }
}

function isOfLock(name: string): boolean {
  return (LOCK_FILES as readonly string[]).includes(name)
}

function isInside(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !path.split(/[\\/]/).includes('..')
}

/** Removes files of an earlier run that took another graph. */
async function removeOthers(folder: string, kept: ReadonlyMap<string, unknown>): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = posix.join(entry.parentPath.slice(folder.length + 1), entry.name)
    if (entry.isFile() && path !== VERSION_FILE && !isOfLock(path) && !kept.has(path))
      await rm(join(folder, path))
  }
}

function invalid(expected: string, found: string): ServiceError {
  return new ServiceError('MODEL_INVALID', `add model: expected ${expected}, got ${found}`)
}
