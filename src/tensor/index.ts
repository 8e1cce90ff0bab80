export { fitsFloat16, fromFloat16, fromFloat16Bytes, toFloat16 } from './float16.ts'
export { createRandom, type Random } from './random.ts'
export { bool, createTensor, type DType, elementCount, float32, int64, type Tensor } from './tensor.ts'
export { argmax, dot, isFinite32, norm, softmax } from './vector.ts'
