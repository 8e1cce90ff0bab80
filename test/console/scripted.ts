/** @file The console on a service whose solver follows a script, for what the bundled model does not do. */

import { readConsole } from '#console'
import type { AppDeps } from '#http'
import type { SolveRequest } from '#solving'
import { createClient, type Solution, type SolveEvent } from '../../clients/typescript/src/index.ts'
import { type Script, scriptedSolver, unverifiedApp } from '../support/http-app.ts'

export interface ScriptedService extends AsyncDisposable {
  readonly origin: string
  readonly requests: readonly SolveRequest[]
  /** Closes the service and every connection. */
  stop(): Promise<void>
}

/**
 * Starts the service in this process.
 *
 * @param deps parts in place of those of test/support/http-app.ts
 * @param port 0 picks any free port
 */
export async function startScripted(
  script: Script,
  deps: Partial<AppDeps> = {},
  port = 0,
): Promise<ScriptedService> {
  const { solver, requests } = scriptedSolver(script)
  const app = unverifiedApp({ solver, consoleFiles: await readConsole(), ...deps })
  const origin = await app.listen({ host: '127.0.0.1', port })
  const stop = async () => {
    app.server.closeAllConnections()
    await app.close()
  }
  return { origin, requests, stop, [Symbol.asyncDispose]: stop }
}

/**
 * Returns a script that asks the service at `origin` and passes its events on.
 *
 * @param before called before each event; the event waits for its promise
 */
export function relay(origin: string, before: (event: SolveEvent) => Promise<void>): Script {
  const client = createClient({ baseUrl: origin })
  return async ({ tenantId, ...request }, { signal, onEvent }) => {
    for await (const event of client.solveEvents(request as object as Parameters<typeof client.solve>[0], {
      signal,
    })) {
      await before(event)
      if (event.event === 'answer') return event.data as Solution & Awaited<ReturnType<Script>>
      if (event.event !== 'error') onEvent?.(event as Parameters<NonNullable<typeof onEvent>>[0])
    }
    throw new Error('relay: expected an answer')
  }
}
