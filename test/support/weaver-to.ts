/** @file A trained weaver for the linear model. */

import type { Latents, Weaver, WeaverRow } from '#ports'
import { tokenOf } from './linear-model.ts'

/** Returns a weaver that raises the logit of a word at the first position, and keeps what it was given. */
export function weaverTo(word: string, by = 5): Weaver & { readonly runs: (readonly WeaverRow[])[] } {
  const runs: (readonly WeaverRow[])[] = []
  return {
    version: 'weaver-1',
    runs,
    async apply(rows) {
      runs.push(rows)
      return rows.map(({ zBase }) => raised(zBase, word, by))
    },
  }
}

/** Returns latents whose first position has a higher logit of a word. */
function raised(latents: Latents, word: string, by: number): Latents {
  const data = latents.data.slice()
  data[tokenOf(word)]! += by
  return { ...latents, data }
}
