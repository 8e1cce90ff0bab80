/** @file Lists the components of the contract, in the order in which it shows them. */

import { ArtifactKind, ArtifactList, ArtifactSchema, Metric } from './artifacts.ts'
import { AuditList } from './audit.ts'
import {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  ChatUsage,
} from './chat-completions.ts'
import { REPORT_COMPONENTS } from './consolidation-report.ts'
import { CONSOLIDATION_COMPONENTS } from './consolidations.ts'
import {
  Deletion,
  Episode,
  EpisodeCandidate,
  EpisodeInfluence,
  EpisodeMap,
  EpisodeNeighbours,
  EpisodePage,
  EpisodeSearch,
  EpisodeSummary,
  Feedback,
  LabelSource,
} from './episodes.ts'
import { DependencyCheck, Liveness, Readiness } from './health.ts'
import { Learning, LearningDay, LearningDays } from './learning.ts'
import { CircadianOptions, CircadianResult, Model, ModelList, OpenAIError } from './openai.ts'
import { Problem } from './problem.ts'
import { Response, ResponseEvent, ResponseRequest } from './responses-api.ts'
import { EVENTS, RetrievedEpisode, Solution, SolutionCandidate, SolveEvent } from './solution.ts'
import { BackgroundSolution, BackgroundTicket } from './solutions.ts'
import { SolveRequest, Strategy } from './solve.ts'
import { Caller } from './whoami.ts'

export const COMPONENTS = [
  SolveRequest,
  Strategy,
  Solution,
  RetrievedEpisode,
  SolutionCandidate,
  SolveEvent,
  ...EVENTS,
  BackgroundSolution,
  BackgroundTicket,
  ChatCompletionRequest,
  ChatMessage,
  ChatCompletion,
  ChatUsage,
  ChatCompletionChunk,
  ResponseRequest,
  Response,
  ResponseEvent,
  CircadianOptions,
  CircadianResult,
  ModelList,
  Model,
  EpisodePage,
  EpisodeSummary,
  Episode,
  EpisodeCandidate,
  EpisodeInfluence,
  EpisodeSearch,
  EpisodeNeighbours,
  EpisodeMap,
  LabelSource,
  Feedback,
  Deletion,
  ...CONSOLIDATION_COMPONENTS,
  ...REPORT_COMPONENTS,
  ArtifactList,
  ArtifactSchema,
  ArtifactKind,
  Metric,
  Learning,
  LearningDays,
  LearningDay,
  AuditList,
  Caller,
  Readiness,
  DependencyCheck,
  Liveness,
  Problem,
  OpenAIError,
] as const
