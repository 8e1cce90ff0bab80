/** Largest cosine distance of near-duplicates: a similarity of .999. */
export const NEAR_DUPLICATE_DISTANCE = 0.001
