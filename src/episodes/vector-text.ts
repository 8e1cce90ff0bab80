/** A vector as pgvector reads it; fp32 survives exactly. To read one, select it as `real[]`. */
export function vectorText(vector: Float32Array): string {
  return `[${vector.join(',')}]`
}
