export { compileGeneration } from './compile-generation.ts'
export { compileHead } from './compile-head.ts'
export { compileHeadLogits } from './compile-head-logits.ts'
export {
  type DecoderConfig,
  type DecoderDescription,
  describeDecoder,
  type KeyValueNames,
  type TokenRange,
} from './describe-decoder.ts'
export { fuseHead } from './fuse-head.ts'
export { cacheHeads, linkRecurrent, RECURRENT_PARTS, type Recurrence } from './link-recurrent.ts'
export type { DenseProjection, Elementwise, LmHead, Projection, QuantizedProjection } from './lm-head.ts'
export { maskTokens } from './mask-tokens.ts'
export { findOneTokenAttentions, type OneTokenAttentions } from './one-token-attention.ts'
export type { Padding } from './positions.ts'
export { MAX_CANDIDATES } from './sample-tokens.ts'
export { TOKEN_SIGNALS } from './token-signals.ts'
export { scoredLayers } from './token-states.ts'
