/** @file The views, in the order of their tabs. */

import type { ComponentType } from 'preact'
import type { Route } from './route.ts'
import type { Scope } from './session.tsx'
import { AskView } from './views/ask/ask-view.tsx'
import { MemoryView } from './views/memory/memory-view.tsx'
import { NightsView } from './views/nights/nights-view.tsx'
import { NowView } from './views/now/now-view.tsx'

export interface View {
  /** First part of its address. */
  readonly id: string
  readonly title: string
  /** Scope without which its tab is hidden; null: open to all. */
  readonly scope: Scope | null
  /** Gets the parts of the address after the first. */
  readonly component: ComponentType<{ readonly route: Route }>
}

export const VIEWS: readonly View[] = [
  { id: 'ask', title: 'Ask', scope: 'solve', component: AskView },
  { id: 'memory', title: 'Memory', scope: 'solve', component: MemoryView },
  { id: 'nights', title: 'Nights', scope: 'admin', component: NightsView },
  { id: 'now', title: 'Now', scope: null, component: NowView },
]
