export {
  float,
  floatAttribute,
  graph,
  int,
  intAttribute,
  ints,
  intsAttribute,
  string,
  subgraphs,
  tensor,
} from './attributes.ts'
export { createGraph, createModel, value } from './create-model.ts'
export { DATA_TYPES, dataTypeName, dtypeOf } from './data-type.ts'
export { decodeModel } from './decode-model.ts'
export { encodeModel } from './encode-model.ts'
export type { Attribute, Dim, Graph, Model, Node, StoredTensor, TensorType, Value } from './model.ts'
export { type Pass, type PassResult, runPass, runPasses } from './pass.ts'
export { hoistInitializers } from './passes/hoist-initializers.ts'
export { removeUnused } from './passes/remove-unused.ts'
export { sortNodes } from './passes/sort-nodes.ts'
export { loadTensor, storeTensor } from './stored-tensor.ts'
export { createTape, type Tape } from './tape.ts'
export { modelFaults } from './validate.ts'
export {
  allGraphs,
  allNames,
  externalDataLocations,
  externalDataSizes,
  producers,
  reads,
  relocateExternalData,
  renameAll,
  replaceAllUsesWith,
  uses,
} from './walk.ts'
