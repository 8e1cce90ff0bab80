/**
 * @file Finds and reads the files of a model directory. Every error contains what was expected, what was
 * found, and advice.
 */

import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { coerceError, ServiceError } from '#errors'

export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Graph names in order of preference: full precision first, then the names that ONNX exporters give their
 * smaller variants.
 */
const GRAPH_NAMES = [
  'model.onnx',
  'model_fp16.onnx',
  'model_q4f16.onnx',
  'model_q4.onnx',
  'model_int8.onnx',
  'model_quantized.onnx',
  'model_uint8.onnx',
  'model_bnb4.onnx',
]

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

/**
 * Returns the text of a file, or null when there is no such file.
 * @throws ServiceError MODEL_INVALID when it cannot be read
 */
export async function readTextIfThere(directory: string, name: string): Promise<string | null> {
  try {
    return await readFile(join(directory, name), 'utf8')
  } catch (thrown) {
    if (errnoCode(thrown) === 'ENOENT') return null
    throw modelInvalid(`to read ${name} in ${directory}`, described(thrown), 'check its permissions', thrown)
  }
}

/**
 * Returns a JSON object, or null when there is no such file.
 * @throws ServiceError MODEL_INVALID when it is anything else
 */
export async function readJsonIfThere(directory: string, name: string): Promise<JsonObject | null> {
  const text = await readTextIfThere(directory, name)
  if (text === null) return null
  const advice = `copy ${name} from the model's repository again`
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    throw modelInvalid(`${name} to be JSON`, coerceError(thrown).message, advice, thrown)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw modelInvalid(`${name} to hold a JSON object`, JSON.stringify(value).slice(0, 80), advice)
  }
  return value as JsonObject
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
 * Returns the path of the ONNX step graph under `onnx/`. @throws ServiceError MODEL_INVALID when there is
 * none, or the choice is ambiguous
 */
export async function findGraph(directory: string): Promise<string> {
  const folder = join(directory, 'onnx')
  const names = await readdir(folder).catch((thrown: unknown): string[] => {
    if (errnoCode(thrown) === 'ENOENT' || errnoCode(thrown) === 'ENOTDIR') return []
    throw modelInvalid(`to read the folder ${folder}`, described(thrown), 'check its permissions', thrown)
  })
  const known = GRAPH_NAMES.find((name) => names.includes(name))
  if (known) return join(folder, known)
  const candidates = names.filter((name) => /^model.*\.onnx$/.test(name)).sort()
  if (candidates.length === 1) return join(folder, candidates[0]!)
  throw modelInvalid(
    `one ONNX graph with a KV cache at ${join(folder, 'model.onnx')}`,
    candidates.length === 0 ? await listing(folder) : candidates.join(', '),
    candidates.length === 0
      ? 'export the model for text generation with past (optimum-cli export onnx --task text-generation-with-past)'
      : 'leave exactly one of them, or name one model.onnx',
  )
}

/**
 * Returns the path of a file that the model itself names. Rejects every file that does not really lie under
 * `directory`: an absolute path, a path with `..`, or a symbolic link (of the file or of a folder on the way)
 * that leads out.
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
  const fromRoot = relative(root, real)
  if (isAbsolute(fromRoot) || fromRoot.split(sep)[0] === '..') {
    throw modelInvalid(expected, `a symbolic link to ${real}`, advice)
  }
  if (!(await stat(real)).isFile()) throw modelInvalid(`${what} at ${path} to be a file`, 'a folder', advice)
  return path
}

async function listing(directory: string): Promise<string> {
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
