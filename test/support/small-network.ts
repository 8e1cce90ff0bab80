/** @file Options of a latent reward model that is trained in a moment. */

export const SMALL_NETWORK = {
  members: 1,
  hidden: 8,
  heads: 1,
  blocks: 1,
  feedForward: 16,
  epochs: 12,
  batch: 32,
  lr: 0.02,
  patience: 12,
}
