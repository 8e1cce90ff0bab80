/**
 * @file Removes the global `Float16Array`; must be evaluated before onnxruntime-node. Its release 1.30 cannot
 * read that class ("not enough space: expected 4, got 0"). Without the class it represents fp16 as raw bits
 * in a `Uint16Array`, which is all that this room needs.
 */

Reflect.deleteProperty(globalThis, 'Float16Array')
