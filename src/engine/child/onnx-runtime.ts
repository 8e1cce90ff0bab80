/** @file ONNX Runtime: the only file that imports it. Runs block this process; that is why it is a process of its own. */

import './without-float16-array.ts'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { coerceError, ServiceError } from '#errors'
import { createGraph, createModel, encodeModel, value } from '#onnx'
import type { Tensor } from '#tensor'

export interface SessionOptions {
  readonly provider: 'cpu' | 'cuda'
  readonly cudaDevice: number
  /** Threads inside one operator; null = one per core. */
  readonly threads: number | null
  /** Folder of the graph's external data; null when it has none. */
  readonly dataFolder: string | null
}

export type Feeds = Readonly<Record<string, Tensor>>

export interface Session {
  readonly inputNames: readonly string[]
  /**
   * Runs the graph and fetches the named outputs; blocks the process meanwhile. Feeds that the graph does not have are
   * left out. @throws ServiceError SESSION_FAILED
   */
  run<Name extends string>(feeds: Feeds, fetches: readonly Name[]): Promise<Record<Name, Tensor>>
}

/** Loads a graph. @throws ServiceError SESSION_FAILED */
export async function createSession(graph: Uint8Array, options: SessionOptions): Promise<Session> {
  const session = await attempt('load a graph', () =>
    InferenceSession.create(graph, {
      executionProviders: [
        options.provider === 'cuda' ? { name: 'cuda', deviceId: options.cudaDevice } : 'cpu',
      ],
      ...(options.threads === null ? {} : { intraOpNumThreads: options.threads }),
      // Caches grow by one position per step and every size would stay in the arena: twice the memory, no faster.
      enableCpuMemArena: false,
      logSeverityLevel: 3,
      extra: {
        session: {
          // Idle threads that spin would take the cores of the API process.
          intra_op: { allow_spinning: '0' },
          ...(options.dataFolder === null
            ? {}
            : { model_external_initializers_file_folder_path: options.dataFolder }),
        },
      },
    }),
  )
  const inputNames = new Set(session.inputNames)
  return {
    inputNames: session.inputNames,
    async run(feeds, fetches) {
      const known = Object.entries(feeds).filter(([name]) => inputNames.has(name))
      const outputs = await attempt('run a graph', () =>
        session.run(Object.fromEntries(known.map(([name, tensor]) => [name, toOrt(tensor)])), fetches),
      )
      return Object.fromEntries(fetches.map((name) => [name, fromOrt(name, outputs[name])])) as Record<
        (typeof fetches)[number],
        Tensor
      >
    },
  }
}

/**
 * The provider that will serve, proved by running a graph of one node on it.
 *
 * @returns for `auto`, CUDA where it works, else the CPU with the `reason`.
 * @throws ServiceError PROVIDER_UNAVAILABLE when `cuda` was asked for and does not work.
 */
export async function chooseProvider(
  wanted: 'auto' | 'cpu' | 'cuda',
  cudaDevice: number,
): Promise<{ readonly provider: 'cpu' | 'cuda'; readonly reason: string }> {
  if (wanted === 'cpu') return { provider: 'cpu', reason: 'asked for' }
  const missing = missingCudaLibrary()
  if (wanted === 'auto' && missing) return { provider: 'cpu', reason: `CUDA is not installed: no ${missing}` }
  try {
    const session = await createSession(probeGraph(), {
      provider: 'cuda',
      cudaDevice,
      threads: 1,
      dataFolder: null,
    })
    await session.run({ x: { dtype: 'float32', shape: [1], data: new Float32Array(1) } }, ['y'])
    return { provider: 'cuda', reason: wanted === 'cuda' ? 'asked for' : 'found' }
  } catch (thrown) {
    const { message } = coerceError(thrown)
    if (wanted === 'auto') return { provider: 'cpu', reason: `CUDA does not work here: ${message}` }
    throw new ServiceError(
      'PROVIDER_UNAVAILABLE',
      `engine: expected the CUDA execution provider on device ${cudaDevice}, got: ${message}; ` +
        'ONNX Runtime names the missing library on its standard error, which is in the log',
      { cause: thrown },
    )
  }
}

/** The provider library that a plain install leaves out; null when it is there. Trying without it prints alarming errors. */
function missingCudaLibrary(): string | null {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node')
  const name =
    process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so'
  const file = join(entry, '../../bin/napi-v6', process.platform, process.arch, name)
  return existsSync(file) ? null : file
}

function probeGraph(): Uint8Array {
  const graph = createGraph({
    name: 'probe',
    inputs: [value('x', 'float32', [1])],
    outputs: [value('y', 'float32', [1])],
    nodes: [{ opType: 'Neg', domain: '', name: 'y', inputs: ['x'], outputs: ['y'], attributes: new Map() }],
  })
  return encodeModel(createModel(graph, { '': 17 }))
}

function toOrt({ dtype, data, shape }: Tensor): OrtTensor {
  return new OrtTensor(dtype as 'float32', data as Float32Array, shape)
}

function fromOrt(name: string, tensor: OrtTensor | undefined): Tensor {
  if (tensor) {
    return { dtype: tensor.type as Tensor['dtype'], shape: tensor.dims, data: tensor.data as Tensor['data'] }
  }
  throw new ServiceError('SESSION_FAILED', `run a graph: expected an output ${name}, got none`)
}

async function attempt<Result>(what: string, task: () => Promise<Result>): Promise<Result> {
  try {
    return await task()
  } catch (thrown) {
    const cause = coerceError(thrown)
    throw new ServiceError('SESSION_FAILED', `${what}: ONNX Runtime refused: ${cause.message}`, { cause })
  }
}
