/** @file The components of the contract, in the order they are listed. */

import {
  DeletedEpisodes,
  Episode,
  EpisodeCandidate,
  EpisodePage,
  EpisodeSummary,
  Feedback,
  LabelSource,
} from './episodes.ts'
import { DependencyCheck, Liveness, Readiness } from './health.ts'
import { Problem } from './problem.ts'
import { EVENTS, RetrievedEpisode, Solution, SolutionCandidate, SolveEvent } from './solution.ts'
import { SolveRequest, Strategy } from './solve.ts'

export const COMPONENTS = [
  SolveRequest,
  Strategy,
  Solution,
  RetrievedEpisode,
  SolutionCandidate,
  SolveEvent,
  ...EVENTS,
  EpisodePage,
  EpisodeSummary,
  Episode,
  EpisodeCandidate,
  LabelSource,
  Feedback,
  DeletedEpisodes,
  Readiness,
  DependencyCheck,
  Liveness,
  Problem,
] as const
