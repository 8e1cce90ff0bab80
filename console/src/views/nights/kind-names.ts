/** @file Names of the kinds of artifacts. */

import type { Artifact } from '../../api.ts'

export const KIND_NAMES: Readonly<Record<Artifact['kind'], string>> = {
  weaver: 'weaver',
  lrm: 'reward model',
  judge: 'fused judge',
}
