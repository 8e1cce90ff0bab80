/**
 * @file Finds and reads the files of a model directory. Every error contains what was expected, what was
 * found, and advice.
 */

import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { coerceError, ServiceError } from '#errors'

/** Files beside the graphs that a model directory may have; `loadModelDirectory` describes them. */
export const SIDE_FILES = [
  'config.json',
  'genai_config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  'circadian.json',
]

export type JsonObject = Readonly<Record<string, unknown>>

/** Creates the error of a faulty model directory: what was expected, what was found instead, and advice. */
export function modelInvalid(expected: string, found: string, advice: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'MODEL_INVALID',
    `load model: expected ${expected}, got ${found}; ${advice}`,
    cause === undefined ? {} : { cause },
  )
}

/**
 * Returns the real path of a directory.
 * @throws ServiceError MODEL_INVALID when `directory` is not a readable directory
 */
export async function openDirectory(directory: string): Promise<string> {
  const advice = 'set MODEL_DIR to a model directory in Hugging Face layout'
  const path = resolve(directory)
  const entry = await stat(path).catch((thrown: unknown) => {
    throw modelInvalid(`a model directory at ${path}`, described(thrown), advice, thrown)
  })
  if (!entry.isDirectory()) throw modelInvalid(`a model directory at ${path}`, 'a file', advice)
  return await realpath(path)
}

/** Removes a byte order mark; throws a TypeError for other encodings. */
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a whole file. Refuses devices and pipes, which may have no end.
 * @throws Error when it is no file, or cannot be read
 */
export async function readRegular(path: string): Promise<Buffer> {
  const entry = await stat(path)
  if (entry.isFile()) return await readFile(path)
  throw new Error(entry.isDirectory() ? 'a folder' : 'a device or a pipe')
}

/**
 * Returns the text of a file, or null when there is no such file. Line breaks of Windows become line feeds, as in
 * transformers: in a chat template they would be other tokens in every prompt.
 *
 * @throws ServiceError MODEL_INVALID when it cannot be read, or is not in UTF-8
 */
export async function readTextIfThere(directory: string, name: string): Promise<string | null> {
  const bytes = await readRegular(join(directory, name)).catch((thrown: unknown) => {
    if (errnoCode(thrown) === 'ENOENT') return null
    throw modelInvalid(
      `to read ${name} in ${directory}`,
      described(thrown),
      'put a copy of the file there',
      thrown,
    )
  })
  if (bytes === null) return null
  try {
    return UTF8.decode(bytes).replaceAll('\r\n', '\n')
  } catch (thrown) {
    throw modelInvalid(`${name} to be UTF-8 text`, 'another encoding', 'save it as UTF-8', thrown)
  }
}

/**
 * Returns a JSON object, or null when there is no such file.
 * @throws ServiceError MODEL_INVALID when it is anything else
 */
export async function readJsonIfThere(directory: string, name: string): Promise<JsonObject | null> {
  const text = await readTextIfThere(directory, name)
  if (text === null) return null
  const advice =
    name === 'circadian.json'
      ? 'correct it (docs/models.md)'
      : `copy ${name} from the model's repository again`
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw modelInvalid(`${name} to be JSON`, coerceError(thrown).message, advice, thrown)
  }
  if (depthOf(value) > MAX_DEPTH) {
    throw modelInvalid(`${name} to nest at most ${MAX_DEPTH} levels deep`, 'more', advice)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw modelInvalid(`${name} to hold a JSON object`, JSON.stringify(value).slice(0, 80), advice)
  }
  return value as JsonObject
}

/** Levels of a JSON file, which functions descend by recursion. Published models have about 10. */
const MAX_DEPTH = 100

/** Returns the number of levels of objects and lists, up to one above the bound. */
function depthOf(value: unknown): number {
  let level: unknown[] = [value]
  for (let depth = 0; ; depth++) {
    level = level.filter((each) => each !== null && typeof each === 'object')
    if (level.length === 0 || depth > MAX_DEPTH) return depth
    level = level.flatMap((each) => Object.values(each as object))
  }
}

/**
 * Returns a JSON object.
 * @throws ServiceError MODEL_INVALID when the file is missing or contains anything else
 */
export async function readJson(directory: string, name: string, advice: string): Promise<JsonObject> {
  const value = await readJsonIfThere(directory, name)
  if (value === null) {
    throw modelInvalid(`the file ${name} in ${directory}`, `only ${await listing(directory)}`, advice)
  }
  return value
}

/**
 * Returns the names of the files in a folder, sorted; none when there is no such folder.
 * @throws ServiceError MODEL_INVALID when it cannot be read
 */
export async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((thrown: unknown): string[] => {
    if (errnoCode(thrown) === 'ENOENT' || errnoCode(thrown) === 'ENOTDIR') return []
    throw modelInvalid(`to read the folder ${folder}`, described(thrown), 'check its permissions', thrown)
  })
  return names.sort()
}

/**
 * Returns the path of a file that the model itself names. Rejects every file that does not really lie under
 * `directory`: an absolute path, a path with `..`, or a symbolic link (of the file or of a folder on the way)
 * that leads out. In the cache of Hugging Face (`models--ORG--NAME/snapshots/REVISION`) links may lead to the
 * model's own `blobs`.
 *
 * @throws ServiceError MODEL_INVALID, with `what` as the name of the file
 */
export async function fileInside(
  directory: string,
  folder: string,
  location: string,
  what: string,
): Promise<string> {
  const advice = 'put a copy of the file into the model directory (a model directory must be self-contained)'
  const expected = `${what} to lie inside ${directory}`
  if (location === '' || location.includes('\0')) throw modelInvalid(expected, 'an empty path', advice)
  if (isAbsolute(location) || /^[a-zA-Z]:[\\/]/.test(location)) {
    throw modelInvalid(expected, `the absolute path '${location}'`, advice)
  }
  if (location.split(/[\\/]/).includes('..')) {
    throw modelInvalid(expected, `the path '${location}', which goes up by '..'`, advice)
  }
  const path = join(folder, location)
  const [root, real] = await Promise.all([
    realpath(directory),
    realpath(path).catch((thrown: unknown) => {
      throw modelInvalid(`${what} at ${path}`, described(thrown), 'copy the file there', thrown)
    }),
  ])
  if (!isUnder(root, real) && !isUnder(await blobsOf(root), real)) {
    throw modelInvalid(expected, `a symbolic link to ${real}`, advice)
  }
  if (!(await stat(real)).isFile()) throw modelInvalid(`${what} at ${path} to be a file`, 'a folder', advice)
  return path
}

function isUnder(folder: string | null, path: string): boolean {
  if (folder === null) return false
  const way = relative(folder, path)
  return !isAbsolute(way) && way.split(sep)[0] !== '..'
}

/** Returns the folder with the files of a snapshot in the cache of Hugging Face; null for other directories. */
async function blobsOf(root: string): Promise<string | null> {
  const snapshots = dirname(root)
  if (basename(snapshots) !== 'snapshots') return null
  const blobs = join(dirname(snapshots), 'blobs')
  return (await realpath(blobs).catch(() => null)) === blobs ? blobs : null
}

export async function listing(directory: string): Promise<string> {
  const names = await readdir(directory).catch(() => null)
  if (names === null) return 'no such folder'
  if (names.length === 0) return 'an empty folder'
  const shown = names.sort().slice(0, 12)
  return shown.join(', ') + (names.length > shown.length ? `, ... (${names.length} in all)` : '')
}

function errnoCode(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}

function described(thrown: unknown): string {
  const code = errnoCode(thrown)
  if (code === 'ENOENT') return 'nothing there'
  return code === 'ELOOP' ? 'a loop of symbolic links' : coerceError(thrown).message
}
