/** @file A loaded model that is closed only after its last user has finished. */

interface Closable {
  close(): Promise<void>
}

export interface RefCountedModel<Model> {
  /** Runs `task` with the model, which stays loaded meanwhile. @throws any error of `task` or of loading */
  use<Result>(task: (model: Model) => Promise<Result>): Promise<Result>
  /**
   * Marks the model as replaced: it is closed as soon as its last user has finished. A request that holds it
   * and calls `use` later still gets it, loaded once more and closed again afterwards. Resolves after
   * closing when it has no user, else at once. Idempotent.
   */
  retire(): Promise<void>
}

/** Loads the model at once and counts its users. @throws any error of `load` */
export async function refCountModel<Model extends Closable>(
  load: () => Promise<Model>,
): Promise<RefCountedModel<Model>> {
  let loaded: Promise<Model> | null = load()
  await loaded
  let users = 0
  let retired = false

  async function closeIfUnused(): Promise<void> {
    if (!retired || users > 0 || loaded === null) return
    const unused = loaded
    loaded = null
    // The error of a failed load has already been thrown by `use`.
    await unused.then(
      (model) => model.close(),
      () => {},
    )
  }

  return {
    async use(task) {
      users += 1
      try {
        loaded ??= load()
        return await task(await loaded)
      } finally {
        users -= 1
        void closeIfUnused()
      }
    },
    async retire() {
      retired = true
      await closeIfUnused()
    },
  }
}
