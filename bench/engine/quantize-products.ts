/**
 * @file Weight-only int4: products with constant matrices become MatMulNBits, as onnxruntime-genai exports
 * have them.
 */

import {
  int,
  loadTensor,
  type Model,
  type Node,
  removeUnused,
  runPasses,
  type StoredTensor,
  storeTensor,
} from '#onnx'
import { createTensor } from '#tensor'

const BITS = 4
const BLOCK = 32
/** Level at which the kernel rounds activations to int8, which makes int4 fast on a CPU. */
const ACCURACY_LEVEL = 4

/**
 * Replaces every MatMul whose right side is a constant `[K, N]`, or a constant `[N, K]` transposed, by
 * MatMulNBits with one scale per block of 32 along K and zero points at 8. K must be a multiple of 32.
 */
export function quantizeProducts(model: Model): Model {
  const { graph } = model
  const transposes = new Map(
    graph.nodes.filter(({ opType }) => opType === 'Transpose').map((node) => [node.outputs[0], node]),
  )
  const initializers = new Map(graph.initializers)
  const nodes = graph.nodes.map((node): Node => {
    if (node.opType !== 'MatMul') return node
    const right = node.inputs[1] ?? ''
    const transposed = transposes.get(right)?.inputs[0]
    const weight = graph.initializers.get(transposed ?? right)
    if (weight?.dims.length !== 2) return node
    const matrix = rowsOf(weight, transposed === undefined)
    const { packed, scales } = quantize(matrix)
    const names = [`${node.name}.weight`, `${node.name}.scales`]
    initializers.set(names[0]!, storeTensor(packed))
    initializers.set(names[1]!, storeTensor(scales))
    return {
      ...node,
      opType: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [node.inputs[0]!, ...names],
      attributes: new Map([
        ['K', int(matrix.columns)],
        ['N', int(matrix.rows)],
        ['bits', int(BITS)],
        ['block_size', int(BLOCK)],
        ['accuracy_level', int(ACCURACY_LEVEL)],
      ]),
    }
  })
  return runPasses([removeUnused], { ...model, graph: { ...graph, nodes, initializers } }).model
}

interface Matrix {
  /** `[rows, columns]`, row-major: N and K. */
  readonly data: Float32Array
  readonly rows: number
  readonly columns: number
}

/** W as `[N, K]`; `swap` when it is stored `[K, N]`. */
function rowsOf(stored: StoredTensor, swap: boolean): Matrix {
  const data = loadTensor(stored).data as Float32Array
  const [first, second] = stored.dims as [number, number]
  if (!swap) return { data, rows: first, columns: second }
  const swapped = new Float32Array(data.length)
  for (let k = 0; k < first; k++)
    for (let n = 0; n < second; n++) swapped[n * first + k] = data[k * second + n]!
  return { data: swapped, rows: second, columns: first }
}

/**
 * Symmetric quantisation: a block's value of largest magnitude becomes code 0, so only its mirror image is
 * clipped.
 */
function quantize({ data, rows, columns }: Matrix) {
  const blocks = columns / BLOCK
  const packed = new Uint8Array(data.length / 2)
  const scales = new Float32Array(rows * blocks)
  for (let block = 0; block < scales.length; block++) {
    const from = block * BLOCK
    let peak = 0
    for (let i = from; i < from + BLOCK; i++) if (Math.abs(data[i]!) > Math.abs(peak)) peak = data[i]!
    const scale = peak / -8
    scales[block] = scale
    const code = (i: number) => Math.min(15, Math.max(0, Math.round(scale === 0 ? 0 : data[i]! / scale) + 8))
    for (let i = from; i < from + BLOCK; i += 2) packed[i >> 1] = code(i) | (code(i + 1) << 4)
  }
  return {
    packed: createTensor('uint8', [rows, blocks, BLOCK / 2], packed),
    scales: createTensor('float32', [rows * blocks], scales),
  }
}
