/** @file Ops that make values out of attributes and shapes. */

import { DATA_TYPES, loadTensor, type Node, type StoredTensor } from '#onnx'
import type { Known, ShapeRules } from './shape-rule.ts'
import { product } from './sizes.ts'

/** What is known of a stored tensor: everything, though only small integer vectors are worth reading. */
export function knownTensor(stored: StoredTensor): Known {
  const { dataType, dims, external } = stored
  const isVector = dataType === DATA_TYPES.int64 && dims.length <= 1 && !external
  const entries = isVector ? Array.from(loadTensor(stored).data as BigInt64Array, Number) : undefined
  return { dataType, shape: dims, entries }
}

function knownConstant(node: Node): Known | null {
  for (const [name, attribute] of node.attributes) {
    if (name === 'value' && attribute.type === 'tensor') return knownTensor(attribute.value)
    if (attribute.type === 'float') return { dataType: DATA_TYPES.float32, shape: [] }
    if (attribute.type === 'floats') return { dataType: DATA_TYPES.float32, shape: [attribute.value.length] }
    if (attribute.type === 'int') {
      return { dataType: DATA_TYPES.int64, shape: [], entries: [Number(attribute.value)] }
    }
    if (attribute.type === 'ints') {
      const entries = attribute.value.map(Number)
      return { dataType: DATA_TYPES.int64, shape: [entries.length], entries }
    }
  }
  return null
}

export const constants: ShapeRules = {
  Constant: ({ node }) => {
    const known = knownConstant(node)
    return known && [known]
  },
  ConstantOfShape: ({ node, inputs: [target] }) => {
    const value = node.attributes.get('value')
    const dataType = value?.type === 'tensor' ? value.value.dataType : DATA_TYPES.float32
    return target!.entries ? [{ dataType, shape: target!.entries }] : null
  },
  Shape: ({ node, inputs: [x] }) => {
    const at = (name: string) => {
      const attribute = node.attributes.get(name)
      return attribute?.type === 'int' ? Number(attribute.value) : undefined
    }
    const entries = x!.shape.slice(at('start'), at('end'))
    return [{ dataType: DATA_TYPES.int64, shape: [entries.length], entries }]
  },
  Size: ({ inputs: [x] }) => [{ dataType: DATA_TYPES.int64, shape: [], entries: [product(x!.shape)] }],
}
