/** @file Arms of an evaluation: strategies with settings of `POST /solve`, from the command line or from a JSON file. */

import { ServiceError } from '#errors'
import { SOLVE_SETTINGS, solveFaults } from '#http'
import type { SolveRequest } from '#solving'

/** Fields that the evaluation sets, or that would give the answer away. */
const RESERVED = ['question', 'reference', 'seed'] as const

type ArmRequest = Omit<SolveRequest, 'tenantId' | (typeof RESERVED)[number]>

export interface Arm {
  readonly name: string
  /** Body of `POST /solve`, but for question and seed. */
  readonly request: ArmRequest
  /** Number of the arm's own solved problems in front of every question; none unless given. */
  readonly examples?: number
}

const MAX_EXAMPLES = 16

type ArmDefaults = Pick<ArmRequest, 'retrieval' | 'learn' | 'explain'>

/** Settings of an arm that says nothing else: every problem is met without memory, and leaves none. */
export const ARM_DEFAULTS: ArmDefaults = { retrieval: false, learn: false, explain: false }

/**
 * Reads an arm such as `greedy`, `majority:samples=8,temperature=.8` or `name=lto8:strategy=lto,samples=8`. A setting
 * is a field of `POST /solve`; one inside an object is named alone (`temperature`) or with its object
 * (`sampling.temperature`), which it must be where several objects have it; `examples` is a setting of the evaluation.
 * Without a name, the text is the name.
 *
 * @param defaults settings that the text does not name; those of an evaluation unless given
 * @throws ServiceError REQUEST_INVALID naming every setting that is unknown or out of bounds
 */
export function parseArm(text: string, defaults = ARM_DEFAULTS): Arm {
  const parts = text.split(':').map((part) => part.trim())
  const named = parts[0]?.startsWith('name=') ? parts.shift()?.slice('name='.length) : undefined
  const name = named ?? text.trim()
  const body: Record<string, unknown> = {}
  for (const [index, item] of parts.flatMap((part) => part.split(',')).entries()) {
    const place = item.indexOf('=')
    const [setting, value] = place === -1 ? ['strategy', item] : [item.slice(0, place), item.slice(place + 1)]
    if (item.trim() === '' || (place === -1 && index > 0)) {
      throw invalid(name, `expected SETTING=VALUE, got ${JSON.stringify(item)}`)
    }
    put(body, pathOf(setting.trim(), name), readValue(value.trim()))
  }
  return toArm(name, body, defaults)
}

/**
 * Reads the arms of a JSON file: a list of bodies of `POST /solve`, without question, each with a `name`.
 *
 * @param file name for errors
 * @throws ServiceError REQUEST_INVALID
 */
export function readArms(text: string, file: string): Arm[] {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch (cause) {
    throw new ServiceError('REQUEST_INVALID', `${file}: expected JSON`, { cause })
  }
  if (!Array.isArray(list)) throw new ServiceError('REQUEST_INVALID', `${file}: expected a list of arms`)
  return list.map((item: unknown, index) => {
    if (typeof item !== 'object' || item === null || !('name' in item) || typeof item.name !== 'string') {
      throw new ServiceError('REQUEST_INVALID', `${file}: expected an object with a name, as item ${index}`)
    }
    const { name, ...body } = item
    return toArm(name, body, ARM_DEFAULTS)
  })
}

/** @throws ServiceError REQUEST_INVALID for two arms of one name */
export function checkNames(arms: readonly Arm[]): void {
  const names = arms.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(twice, 'expected a name of its own, got the name of another arm')
}

function toArm(
  name: string,
  { examples, ...body }: Readonly<Record<string, unknown>>,
  defaults: ArmDefaults,
): Arm {
  const reserved = RESERVED.find((field) => field in body)
  if (reserved !== undefined) {
    throw invalid(
      name,
      `expected no ${reserved}: the evaluation gives every question and seed, and no reference`,
    )
  }
  if (name === '') throw invalid(name, 'expected a name, got an empty one')
  if (body['strategy'] === undefined) throw invalid(name, 'expected a strategy, got none')
  const faults = solveFaults({ ...body, question: 'a question' })
  if (faults.length > 0) {
    throw invalid(name, faults.map(({ pointer, detail }) => `${pointer.slice(1)}: ${detail}`).join('; '))
  }
  const request = { ...defaults, ...(body as ArmRequest) }
  if (examples === undefined) return { name, request }
  const isCount = Number.isInteger(examples) && Number(examples) >= 1 && Number(examples) <= MAX_EXAMPLES
  if (!isCount) throw invalid(name, `examples: expected a whole number from 1 to ${MAX_EXAMPLES}`)
  return { name, request, examples: Number(examples) }
}

function pathOf(setting: string, arm: string): readonly string[] {
  const dotted = setting.split('.')
  if (dotted.length > 1 || setting === 'examples') return dotted
  const own = SOLVE_SETTINGS.filter((path) => path.at(-1) === setting)
  const [only] = own.filter((path) => path.length === 1).concat(own)
  if (only === undefined) {
    const known = SOLVE_SETTINGS.map((path) => path.join('.')).filter((path) => !isReserved(path))
    throw invalid(
      arm,
      `expected examples or settings of POST /solve (${known.join(', ')}), got ${JSON.stringify(setting)}`,
    )
  }
  if (own.length > 1 && only.length > 1) {
    throw invalid(arm, `expected one of ${own.map((path) => path.join('.')).join(', ')}, got ${setting}`)
  }
  return only
}

const isReserved = (path: string) => RESERVED.some((field) => field === path)

function put(body: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [field = '', inner] = path
  if (inner === undefined) {
    body[field] = value
    return
  }
  const before = body[field]
  body[field] = { ...(typeof before === 'object' ? before : {}), [path.slice(1).join('.')]: value }
}

function readValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^[-+]?\.?\d/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text
}

function invalid(arm: string, detail: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `arm ${JSON.stringify(arm)}: ${detail}`)
}
