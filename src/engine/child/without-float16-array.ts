/**
 * @file Must be evaluated before onnxruntime-node: its release 1.30 cannot read `Float16Array` ("not enough space: expected
 * 4, got 0"). Without that class it represents fp16 as raw bits in a `Uint16Array`, which is all this room needs.
 */

Reflect.deleteProperty(globalThis, 'Float16Array')
