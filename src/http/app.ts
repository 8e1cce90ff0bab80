/** @file Builds the HTTP service: hooks, contract and routes, in the order in which they run. */

import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { EpisodeStore } from '#episodes'
import type { Authenticate, IdempotencyStore, Limiter } from '#keys'
import type { Solver } from '#solving'
import { NO_TRACER, type Tracer } from '#tracing'
import { allowOrigins } from './allow-origins.ts'
import { auditRequests } from './audit.ts'
import { type AsTenant, authenticateRequests } from './authenticate.ts'
import { useJsonBodies } from './body-parser.ts'
import { closeUnread, limitConnections, refuseExpectations } from './connections.ts'
import { createRequestId, decorateRequests } from './context.ts'
import { refuseWhileDraining } from './draining.ts'
import { createProblemLog, replyToRawFault, replyWithProblem } from './error-replies.ts'
import type { OwnHosts } from './host-names.ts'
import { answerOnce } from './idempotency.ts'
import { limitRequests } from './limit-requests.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { observeRequests, type RequestObservation } from './observe-requests.ts'
import { contractRoute, describeContract } from './openapi.ts'
import { refuseForeignRequests } from './refuse-foreign.ts'
import { describeRequest } from './request-log.ts'
import { type AdminRouteDeps, adminRoutes } from './routes/admin.ts'
import { chatCompletionsRoute } from './routes/chat-completions.ts'
import { consoleRoutes, type StaticFile } from './routes/console.ts'
import { episodeRoutes } from './routes/episodes.ts'
import { type Health, healthRoutes } from './routes/health.ts'
import { type Exposition, metricsRoute } from './routes/metrics.ts'
import { modelRoutes } from './routes/models.ts'
import { responsesRoute } from './routes/responses.ts'
import { type BackgroundSolutions, solutionRoutes } from './routes/solutions.ts'
import { solveRoute } from './routes/solve.ts'
import { whoamiRoute } from './routes/whoami.ts'
import { refuseUnknownRoutes } from './routing-faults.ts'
import { sendSecurityHeaders } from './security-headers.ts'
import { buildSerializer } from './serialization.ts'
import { traceRequests } from './trace-requests.ts'
import type { App } from './type-provider.ts'
import { validatorCompiler } from './validation.ts'

const LOOPBACK_ONLY: OwnHosts = { listenHost: '127.0.0.1', allowedHosts: [] }
const PROBES: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics'])

export interface AppDeps {
  readonly solver: Solver
  readonly episodes: EpisodeStore
  readonly admin: AdminRouteDeps
  /** Questions that are answered in the background. */
  readonly solutions: BackgroundSolutions
  /** Whether questions in the background may name a webhook; they may not unless true. */
  readonly hasWebhooks?: boolean
  readonly health: () => Promise<Health>
  /** All metrics of the process, for `GET /metrics`. */
  readonly metrics: () => Promise<Exposition>
  readonly observeRequest: (observation: RequestObservation) => void
  /** Files of the console, by path; no console unless given. */
  readonly consoleFiles?: readonly StaticFile[]
  readonly logger: FastifyBaseLogger
  /** Returns true once new requests must be refused. `close()` implies it. */
  readonly draining?: () => boolean
  readonly limits?: Partial<Limits>
  /** Records the spans of requests; none unless given. */
  readonly tracer?: Tracer
  /**
   * Addresses and CIDR ranges of proxies whose `X-Forwarded-For` gives the address of the caller; none by
   * default.
   */
  readonly trustProxy?: readonly string[]
  /** Check of API keys. Unless given, no caller needs a key. */
  readonly authenticate?: Authenticate | undefined
  /** Runs work whose statements reach rows of one tenant only. Unless given, the statements alone see to it. */
  readonly asTenant?: AsTenant
  /** Limits of API keys. Unless given, keys have none. */
  readonly limiter?: Limiter
  /** Answers by `Idempotency-Key`. Unless given, the header is ignored. */
  readonly idempotency?: IdempotencyStore
  /** Hosts that mean this server; by default those of a server on 127.0.0.1. */
  readonly hosts?: OwnHosts
  /** Origins of other sites whose pages may call the API; none by default. */
  readonly corsOrigins?: readonly string[]
}

/**
 * Builds the service; the caller calls `listen()` and `close()`. `close()` lets requests in flight finish,
 * answers new ones with SHUTTING_DOWN and resolves when the last connection is closed. It closes none of
 * `deps`.
 */
export function buildApp(deps: AppDeps): App {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const tracer = deps.tracer ?? NO_TRACER
  const logProblem = createProblemLog()
  const onError = (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    replyWithProblem(logProblem, error, request, reply)
  const app: App = Fastify({
    loggerInstance: deps.logger.child({}, { serializers: { req: describeRequest } }),
    // Probes arrive every few seconds: only their failures are logged.
    logController: new LogController({ disableRequestLogging: ({ url }) => PROBES.has(url ?? '') }),
    genReqId: createRequestId,
    // An empty list trusts no proxy. No number of hops: a caller that skips the proxy could make up its address.
    trustProxy: [...(deps.trustProxy ?? [])],
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    // No limits on idle sockets and on handlers: a long solve may send nothing for minutes. Its budget
    // limits it.
    connectionTimeout: 0,
    handlerTimeout: 0,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      // `refuseForeignRequests` answers a missing header with a problem instead.
      requireHostHeader: false,
      // Interval at which Node checks for late requests. Its default of 30 s would triple the limits above.
      connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
    },
    // As long as a URL can be: an id that is too long gets a 404 like any other unknown id.
    routerOptions: { maxParamLength: limits.headerBytes },
    schemaController: { compilersFactory: { buildSerializer } },
    // `refuseWhileDraining` answers with a problem and `Retry-After` instead.
    return503OnClosing: false,
    frameworkErrors: onError,
    clientErrorHandler: replyToRawFault,
  })
  app.setErrorHandler(onError)
  app.setValidatorCompiler(validatorCompiler)
  useJsonBodies(app)
  limitConnections(app.server, limits.maxConnections, deps.logger)
  refuseExpectations(app.server)
  closeUnread(app, limits.stallMs)

  observeRequests(app, deps.observeRequest)
  if (tracer !== NO_TRACER) traceRequests(app, tracer, PROBES)
  sendSecurityHeaders(app)
  auditRequests(app, deps.admin.audit)
  const { corsOrigins = [] } = deps
  refuseForeignRequests(app, deps.hosts ?? LOOPBACK_ONLY, corsOrigins)
  allowOrigins(app, corsOrigins)
  refuseWhileDraining(app, deps.draining ?? (() => false))
  refuseUnknownRoutes(app)
  decorateRequests(app)
  authenticateRequests(app, deps.authenticate, deps.asTenant)
  limitRequests(app, deps.limiter)
  answerOnce(app, { store: deps.idempotency, episodes: deps.episodes })

  describeContract(app)
  app.register(async (routes: App) => {
    solveRoute(routes, {
      solver: deps.solver,
      solutions: deps.solutions,
      hasWebhooks: deps.hasWebhooks ?? false,
      limits,
      logProblem,
      tracer,
    })
    chatCompletionsRoute(routes, { solver: deps.solver, limits, logProblem })
    responsesRoute(routes, { solver: deps.solver, limits, logProblem })
    modelRoutes(routes, deps.solver.modelId)
    solutionRoutes(routes, deps.solutions)
    episodeRoutes(routes, {
      episodes: deps.episodes,
      solver: deps.solver,
      fingerprint: deps.admin.fingerprint,
    })
    adminRoutes(routes, deps.admin, tracer)
    whoamiRoute(routes)
    healthRoutes(routes, deps.health)
    metricsRoute(routes, deps.metrics)
    consoleRoutes(routes, deps.consoleFiles ?? [])
    contractRoute(routes)
  })
  return app
}
