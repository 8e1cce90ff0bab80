/** @file A loaded model that may be replaced while somebody uses it. */

interface Closable {
  close(): Promise<void>
}

export interface RefCountedModel<Model> {
  /** Hands the model to `task`; it stays loaded meanwhile. @throws what `task` and loading throw */
  use<Result>(task: (model: Model) => Promise<Result>): Promise<Result>
  /**
   * Somebody else serves from now on: closes the model as soon as nobody uses it. A request that took it before and
   * uses it only now still gets it, loaded once more. Resolves when it is closed, if nobody uses it. Idempotent.
   */
  retire(): Promise<void>
}

/** Loads the model at once. @throws what `load` throws */
export async function refCountModel<Model extends Closable>(
  load: () => Promise<Model>,
): Promise<RefCountedModel<Model>> {
  let loaded: Promise<Model> | null = load()
  await loaded
  let users = 0
  let retired = false

  async function closeUnused(): Promise<void> {
    if (!retired || users > 0 || loaded === null) return
    const unused = loaded
    loaded = null
    // One that did not load has told whoever asked for it.
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
        void closeUnused()
      }
    },
    async retire() {
      retired = true
      await closeUnused()
    },
  }
}
