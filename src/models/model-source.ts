/** @file Interface of the places that a model is added from: the hub, or another directory. */

export interface SourceFile {
  /** Relative to the model, with `/`. */
  readonly path: string
  readonly bytes: number
  /** Digest of the content by the hub; `git` is the SHA-1 of the git blob. Null: unknown. */
  readonly digest: { readonly algorithm: 'sha256' | 'git'; readonly hex: string } | null
}

export interface ModelSource {
  /** Source as the operator writes it, `hf:ORG/NAME@REVISION` or a path. */
  readonly name: string
  /** Name of the model's directory unless the operator gives one. */
  readonly directoryName: string
  /**
   * Lists all files of one version of the model.
   * @throws ServiceError HUB_UNAVAILABLE, MODEL_INVALID
   */
  list(): Promise<{ readonly version: string; readonly files: readonly SourceFile[] }>
  /**
   * Writes a file of that version to `target`, which holds its first `from` bytes.
   *
   * @param onBytes called with the size of each part that was written
   * @throws ServiceError HUB_UNAVAILABLE; the bytes that were written stay
   */
  fetch(file: SourceFile, target: string, from: number, onBytes: (count: number) => void): Promise<void>
}
