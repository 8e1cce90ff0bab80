/** @file Result of a training as the training process sends it. */

/** Separates the model from what messages can carry beside it. */
export function toTaskResult<Trained extends { readonly model: Uint8Array }>(
  result: { readonly trained: Trained } | { readonly skipped: string },
) {
  if ('skipped' in result) return { value: result }
  const { model, ...trained } = result.trained
  return { value: { trained }, bytes: model }
}
