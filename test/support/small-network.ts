/** @file Options of a latent reward model small enough to train in a unit test. */

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
