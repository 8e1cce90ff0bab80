/**
 * @file Wrapper of ONNX Runtime, and the only file that imports it. A run blocks its process, which is why
 * the engine has processes of its own.
 */

import './without-float16-array.ts'
import './without-telemetry.ts'
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
  /** Threads inside one operator; null: one per core. */
  readonly threads: number | null
  /** Folder of the graph's external data; null when it has none. */
  readonly dataFolder: string | null
  /**
   * Whether weights are packed once for products with many rows; true by default. Packing keeps a second copy
   * of the weights in memory (two of the LM head), which a graph that multiplies a few rows at a time does
   * not need.
   */
  readonly prepacking?: boolean
  /**
   * Whether results of constants are computed once, at load, and kept; true by default. False for a graph whose
   * constants are larger once they are dequantised.
   */
  readonly folding?: boolean
  /**
   * Whether memory that a run frees is kept for the next run; false by default. It makes training steps
   * faster. Where shapes grow, as caches do by one position per step, memory of every size would be kept:
   * twice the memory, no faster.
   */
  readonly arena?: boolean
  /** Rejects a graph if ONNX Runtime would silently run a part of it on the CPU. For CUDA. */
  readonly noFallback?: boolean
  /** Prefix of the file name of ONNX Runtime's profile of this session; `endProfiling` writes the file. */
  readonly profile?: string
}

export type Feeds = Readonly<Record<string, Tensor>>

export interface Session {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  /**
   * Runs the graph and fetches the named outputs; blocks the process meanwhile. Ignores feeds that are no
   * inputs of the graph.
   * @throws ServiceError SESSION_FAILED
   */
  run<Name extends string>(feeds: Feeds, fetches: readonly Name[]): Promise<Record<Name, Tensor>>
  endProfiling(): void
  /** Frees the graph and its weights; the session must not be used again. */
  release(): Promise<void>
}

/** Loads a graph. @throws ServiceError SESSION_FAILED */
export async function createSession(graph: Uint8Array, options: SessionOptions): Promise<Session> {
  const session = await attempt('load a graph', () =>
    InferenceSession.create(graph, {
      executionProviders: [
        options.provider === 'cuda' ? { name: 'cuda', deviceId: options.cudaDevice } : 'cpu',
      ],
      ...(options.threads === null ? {} : { intraOpNumThreads: options.threads }),
      enableCpuMemArena: options.arena ?? false,
      logSeverityLevel: 3,
      ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
      extra: {
        ...(options.folding === false
          ? { optimization: { disable_specified_optimizers: 'ConstantFolding' } }
          : {}),
        session: {
          ...(options.prepacking === false ? { disable_prepacking: '1' } : {}),
          ...(options.noFallback ? { disable_cpu_ep_fallback: '1' } : {}),
          // Threads spin during a run, which makes a 61M decoder at least a tenth faster, and stop after it:
          // idle threads would take the cores of the API process.
          intra_op: { allow_spinning: '1' },
          force_spinning_stop: '1',
          // The fusion of DequantizeLinear and MatMul fails inside a Loop, whose weights lie outside it.
          disable_quant_qdq: '1',
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
    outputNames: session.outputNames,
    endProfiling: () => session.endProfiling(),
    release: () => session.release(),
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

export interface ProviderChoice {
  readonly provider: 'cpu' | 'cuda'
  readonly reason: string
  /** Whether CUDA is installed but does not work. */
  readonly isBroken: boolean
}

/**
 * Chooses the provider for serving. CUDA is tested by multiplying two matrices on it.
 *
 * @returns for `auto`, CUDA where it works, else the CPU with the `reason`
 * @throws ServiceError PROVIDER_UNAVAILABLE when `wanted` is `cuda` and CUDA does not work
 */
export async function chooseProvider(
  wanted: 'auto' | 'cpu' | 'cuda',
  cudaDevice: number,
): Promise<ProviderChoice> {
  if (wanted === 'cpu') return { provider: 'cpu', reason: 'requested', isBroken: false }
  const missing = missingCudaLibrary()
  if (wanted === 'auto' && missing) {
    return { provider: 'cpu', reason: `CUDA is not installed: no ${missing}`, isBroken: false }
  }
  try {
    await probe('cuda', cudaDevice)
    return { provider: 'cuda', reason: wanted === 'cuda' ? 'requested' : 'found', isBroken: false }
  } catch (thrown) {
    const { message } = coerceError(thrown)
    if (wanted === 'auto') {
      return { provider: 'cpu', reason: `CUDA does not work here: ${message}`, isBroken: true }
    }
    const install = missing === null ? '' : `; the library is not installed: no ${missing}`
    throw new ServiceError(
      'PROVIDER_UNAVAILABLE',
      `engine: expected the CUDA execution provider on device ${cudaDevice}, got: ${message}${install}; ` +
        'ONNX Runtime prints the name of a missing library on its standard error, which is in the log',
      { cause: thrown },
    )
  }
}

/**
 * Multiplies two matrices on a provider and checks the product: a provider that loads may still lack cuBLAS,
 * or have no kernels for this GPU.
 *
 * @throws ServiceError SESSION_FAILED
 */
export async function probe(provider: 'cpu' | 'cuda', cudaDevice: number): Promise<void> {
  const options = { provider, cudaDevice, threads: 1, dataFolder: null, noFallback: provider === 'cuda' }
  const session = await createSession(probeGraph(), options)
  const factor: Tensor = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
  const { product } = await session.run({ a: factor, b: factor }, ['product'])
  const got = Array.from(product.data as Float32Array)
  if (got.join() !== '7,10,15,22') {
    throw new ServiceError(
      'SESSION_FAILED',
      `probe: expected [[1,2],[3,4]] squared on ${provider}, got ${got.join()}`,
    )
  }
}

/**
 * Returns the path of the CUDA provider library, which a plain install leaves out; null when the file exists.
 * Trying CUDA without it prints alarming errors.
 */
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
    inputs: [value('a', 'float32', [2, 2]), value('b', 'float32', [2, 2])],
    outputs: [value('product', 'float32', [2, 2])],
    nodes: [
      {
        opType: 'MatMul',
        domain: '',
        name: 'product',
        inputs: ['a', 'b'],
        outputs: ['product'],
        attributes: new Map(),
      },
    ],
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
    // Messages may begin with a place in the source and the signature of a C++ function.
    const reason = cause.message.replace(/^\/\S+\.(cc|h):\d+ .*?\) (?=[A-Z])/s, '').trimEnd()
    throw new ServiceError('SESSION_FAILED', `${what}: ONNX Runtime refused: ${reason}`, { cause })
  }
}
