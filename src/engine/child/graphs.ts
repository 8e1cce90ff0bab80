/**
 * @file Graphs that an engine process loads beside or instead of a model. Their state stays in the process
 * between runs: outputs that a run carries over become feeds of the next run without crossing the process
 * border.
 */

import { ServiceError } from '#errors'
import type { Tensor } from '#tensor'
import type { GraphOperationName, Handlers } from '../protocol.ts'
import { createSession, type Session } from './onnx-runtime.ts'

interface Graph {
  readonly session: Session
  /** Replaced as a whole by a successful run. */
  state: Readonly<Record<string, Tensor>>
  readonly carry: Readonly<Record<string, string>>
}

/**
 * Creates the handlers of graph calls.
 *
 * @throws from its handlers: ServiceError SESSION_FAILED when ONNX Runtime rejects a graph or a run, or the
 * run does not fit the graph; GRAPH_PRECONDITION when `state` or `carry` does not fit the graph
 */
export function createGraphs(deps: {
  readonly provider: 'cpu' | 'cuda'
  readonly cudaDevice: number
  readonly threads: number | null
  /** See `SessionOptions`. */
  readonly arena?: boolean
  /**
   * Runs tasks one after the other, in the order given: a run must have the state that the run before it
   * carried over.
   */
  readonly turn: <Result>(task: () => Promise<Result>) => Promise<Result>
}): Handlers<GraphOperationName> {
  const { turn } = deps
  const graphs = new Map<number, Graph>()

  function graphOf(id: number): Graph {
    const graph = graphs.get(id)
    if (graph) return graph
    throw new ServiceError(
      'SESSION_FAILED',
      `graph ${id}: expected a loaded graph, got one that is not loaded`,
    )
  }

  return {
    loadGraph: ({ graph, model, state, carry }) =>
      turn(async () => {
        const session = await createSession(model, { ...deps, dataFolder: null })
        try {
          checkState(session, state, carry)
        } catch (thrown) {
          await session.release()
          throw thrown
        }
        graphs.set(graph, { session, state, carry })
        return undefined
      }),
    runGraph: ({ graph: id, feeds, fetches }) =>
      turn(async () => {
        const graph = graphOf(id)
        const { session, state, carry } = graph
        const stranger = Object.keys(feeds).find((name) => !session.inputNames.includes(name) || state[name])
        if (stranger !== undefined) {
          const fed = session.inputNames.filter((name) => !state[name])
          throw new ServiceError('SESSION_FAILED', `run a graph: expected ${fed} to be fed, got ${stranger}`)
        }
        const outputs = await session.run({ ...feeds, ...state }, [
          ...new Set([...fetches, ...Object.values(carry)]),
        ])
        graph.state = {
          ...state,
          ...Object.fromEntries(Object.entries(carry).map(([name, output]) => [name, outputs[output]!])),
        }
        return Object.fromEntries(fetches.map((name) => [name, outputs[name]!]))
      }),
    readGraph: ({ graph, names }) =>
      turn(async () => {
        const { state } = graphOf(graph)
        return Object.fromEntries(
          names.map((name) => {
            const tensor = state[name]
            if (tensor) return [name, tensor]
            throw new ServiceError(
              'SESSION_FAILED',
              `read a graph: expected state (${Object.keys(state)}), got ${name}`,
            )
          }),
        )
      }),
    closeGraph: ({ graph }) =>
      turn(async () => {
        const loaded = graphs.get(graph)
        graphs.delete(graph)
        await loaded?.session.release()
        return undefined
      }),
  }
}

/**
 * Returns a function that runs each task when all earlier ones have ended, whether they succeeded or failed.
 */
export function createMutex(): <Result>(task: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const next = last.then(task)
    last = next.catch(() => undefined)
    return next
  }
}

function checkState(session: Session, state: Graph['state'], carry: Graph['carry']): void {
  const { inputNames, outputNames } = session
  const strangers = [
    ...Object.keys(state).filter((name) => !inputNames.includes(name)),
    ...Object.keys(carry).filter((name) => !state[name]),
    ...Object.values(carry).filter((name) => !outputNames.includes(name)),
  ]
  if (strangers.length === 0) return
  throw new ServiceError(
    'GRAPH_PRECONDITION',
    `load a graph: expected state among its inputs (${inputNames}) and carry among its outputs ` +
      `(${outputNames}), got ${strangers}`,
  )
}
