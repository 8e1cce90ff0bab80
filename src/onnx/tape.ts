/** @file Tape: records new nodes in order and gives their outputs unused names. */

import { ServiceError } from '#errors'
import type { Tensor } from '#tensor'
import type { Attribute, Graph, Node, StoredTensor, Value } from './model.ts'
import { storeTensor } from './stored-tensor.ts'

type Attributes = Readonly<Record<string, Attribute>>

export interface Tape {
  /**
   * Records a node of one output and returns the name of that output. `null` omits an optional input.
   * @example const y = tape.op('Add', [tape.op('MatMul', [x, weight]), bias])
   */
  op(opType: string, inputs: readonly (string | null)[], attributes?: Attributes, domain?: string): string
  /**
   * Records a node and returns the names of its outputs: the given names, or as many new names as `names`
   * counts.
   */
  outputs(
    names: number | readonly string[],
    opType: string,
    inputs: readonly (string | null)[],
    attributes?: Attributes,
    domain?: string,
  ): readonly string[]
  /**
   * Returns the name of a constant; equal constants are stored once. Constants of nested tapes live in the
   * outermost graph.
   */
  constant(tensor: Tensor): string
  /**
   * Appends nodes unchanged.
   * @throws ServiceError GRAPH_PRECONDITION when one of their outputs has a name already taken.
   */
  append(nodes: readonly Node[]): void
  /** Creates a tape for a nested graph, which shares names and constants with this one. */
  nested(): Tape
  /** Returns the recorded nodes as a graph. Constants appear in the outermost tape's graph only. */
  graph(border: {
    name: string
    inputs?: readonly Value[]
    outputs: readonly Value[]
    initializers?: ReadonlyMap<string, StoredTensor>
  }): Graph
}

/** Creates a tape; `taken` holds the names already in use around it (inputs, weights). */
export function createTape(taken: Iterable<string> = []): Tape {
  return record(new Set(taken), new Map(), new Map())
}

function record(
  taken: Set<string>,
  constants: Map<string, StoredTensor>,
  counters: Map<string, number>,
  isNested = false,
): Tape {
  const nodes: Node[] = []

  function fresh(hint: string): string {
    for (;;) {
      const count = counters.get(hint) ?? 0
      counters.set(hint, count + 1)
      const name = `${hint}_${count}`
      if (taken.has(name)) continue
      taken.add(name)
      return name
    }
  }

  function push(
    outputs: readonly string[],
    opType: string,
    inputs: readonly (string | null)[],
    attributes: Attributes,
    domain: string,
  ) {
    nodes.push({
      opType,
      domain,
      name: outputs[0]!,
      inputs: inputs.map((input) => input ?? ''),
      outputs,
      attributes: new Map(Object.entries(attributes)),
    })
    return outputs
  }

  const tape: Tape = {
    op: (opType, inputs, attributes = {}, domain = '') =>
      push([fresh(opType)], opType, inputs, attributes, domain)[0]!,
    outputs(names, opType, inputs, attributes = {}, domain = '') {
      if (typeof names === 'number') {
        return push(
          Array.from({ length: names }, () => fresh(opType)),
          opType,
          inputs,
          attributes,
          domain,
        )
      }
      for (const name of names) claim(taken, name)
      return push(names, opType, inputs, attributes, domain)
    },
    constant(tensor) {
      const stored = storeTensor(tensor)
      for (const [name, other] of constants) if (isEqual(stored, other)) return name
      const name = fresh('constant')
      constants.set(name, stored)
      return name
    },
    append(added) {
      for (const node of added) for (const output of node.outputs) if (output) claim(taken, output)
      nodes.push(...added)
    },
    nested: () => record(taken, constants, counters, true),
    graph: ({ name, inputs = [], outputs, initializers = new Map() }) => ({
      name,
      inputs,
      outputs,
      nodes,
      initializers: isNested ? initializers : new Map([...initializers, ...constants]),
      valueInfo: [],
    }),
  }
  return tape
}

function claim(taken: Set<string>, name: string): void {
  if (taken.has(name)) {
    throw new ServiceError('GRAPH_PRECONDITION', `tape: expected a name not taken yet, got "${name}" again`)
  }
  taken.add(name)
}

function isEqual(a: StoredTensor, b: StoredTensor): boolean {
  return (
    a.dataType === b.dataType &&
    a.dims.length === b.dims.length &&
    a.dims.every((dim, i) => dim === b.dims[i]) &&
    a.bytes.length === b.bytes.length &&
    a.bytes.every((byte, i) => byte === b.bytes[i])
  )
}
