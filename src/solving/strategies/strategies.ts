/** @file The strategies by name. */

import type { StrategyFunction } from '../run.ts'
import type { Strategy } from '../types.ts'
import { auto } from './auto.ts'
import { greedy } from './greedy.ts'
import { latentSeek } from './latent-seek.ts'
import { lto } from './lto.ts'
import { majority } from './majority.ts'

export type Strategies = Readonly<Record<Strategy, StrategyFunction>>

export const strategies: Strategies = { auto, greedy, latentseek: latentSeek, majority, lto }
