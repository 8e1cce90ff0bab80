export { fromFloat16, toFloat16 } from './float16.ts'
export { createRandom, type Random } from './random.ts'
export { argmax, dot, norm, softmax } from './vector.ts'
