/**
 * @file Experiment: all updates of an ascent in one run of one graph. A `Loop` repeats the head step until
 * the tokens change or the updates are used up. The logits of the new latents, which decide their tokens,
 * start the next update, so the loop multiplies with W twice per update, where separate runs do so three
 * times.
 */

import { compileHead, type DecoderDescription } from '#decoder'
import {
  createTape,
  DATA_TYPES,
  decodeModel,
  encodeModel,
  type Graph,
  graph,
  hoistInitializers,
  int,
  type Model,
  removeUnused,
  renameAll,
  replaceAllUsesWith,
  runPasses,
  sortNodes,
  value,
} from '#onnx'
import { bool, float32, int64 } from '#tensor'

const STATE = ['z', 'm', 'v'] as const

/**
 * Compiles the loop. Inputs: those of `compileHead`, `max_steps` int64 [] and `until_changed` bool [].
 * Outputs: `z_next`, `m_next`, `v_next` [S, D], `tokens` int64 [S], `step_next` float32 [].
 */
export function compileAscentLoop(model: Model, description: DecoderDescription): Uint8Array {
  const step = decodeModel(compileHead(model, description))
  const { before, after } = logitsOf(step.graph)
  const inputs = step.graph.inputs
  const constants = new Set([...step.graph.initializers.keys(), ...inputs.map(({ name }) => name)])
  const carried = new Set<string>([...STATE, 'step'])

  // Outside the loop, once: the logits that start the first update.
  const first = renameAll(step.graph, (name) => (constants.has(name) ? name : `first/${name}`))
  const tape = createTape([...constants, 'max_steps', 'until_changed'])
  tape.append(first.nodes)
  const firstActions = tape.op('Gather', ['actions', tape.constant(int64(0))], { axis: int(0) })

  // Inside the loop, in every iteration: the step, reading the carried values.
  const inner = (name: string) => (constants.has(name) && !carried.has(name) ? name : `loop/${name}`)
  const body = renameAll(replaceAllUsesWith(step.graph, before, 'logits'), inner)
  const nested = tape.nested()
  nested.append(body.nodes)
  const nextStep = nested.op('Add', [inner('step'), nested.constant(float32(1))])
  const same = nested.op('Cast', [nested.op('Equal', [inner('tokens'), firstActions])], {
    to: int(DATA_TYPES.int32),
  })
  const unchanged = nested.op('Cast', [nested.op('ReduceMin', [same], { keepdims: int(0) })], {
    to: int(DATA_TYPES.bool),
  })
  const goOn = nested.op('Or', [unchanged, nested.op('Not', ['until_changed'])])
  const loopBody: Graph = nested.graph({
    name: 'update',
    inputs: [
      value('loop/iteration', 'int64', []),
      value('loop/condition', 'bool', []),
      ...STATE.map((name) => value(inner(name), 'float32', [null, null])),
      value(inner('step'), 'float32', []),
      value('loop/logits', 'float32', [null, null]),
      value('loop/last_tokens', 'int64', [null]),
    ],
    outputs: [
      value(goOn, 'bool'),
      ...STATE.map((name) => value(inner(`${name}_next`), 'float32')),
      value(nextStep, 'float32'),
      value(inner(after), 'float32'),
      value(inner('tokens'), 'int64'),
    ],
  })
  tape.outputs(
    ['z_next', 'm_next', 'v_next', 'step_next', 'logits_next', 'tokens'],
    'Loop',
    ['max_steps', tape.constant(bool(true)), ...STATE, 'step', `first/${before}`, firstActions],
    { body: graph(loopBody) },
  )
  const compiled: Model = {
    ...step,
    graph: tape.graph({
      name: 'ascent',
      inputs: [...inputs, value('max_steps', 'int64', []), value('until_changed', 'bool', [])],
      outputs: [
        ...STATE.map((name) => value(`${name}_next`, 'float32', ['S', description.hiddenSize])),
        value('tokens', 'int64', ['S']),
        value('step_next', 'float32', []),
      ],
      initializers: step.graph.initializers,
    }),
  }
  return encodeModel(runPasses([hoistInitializers, removeUnused, sortNodes], compiled).model)
}

/** Names of the logits at z and at z_next in a compiled head step. */
function logitsOf({ nodes }: Graph): { readonly before: string; readonly after: string } {
  const scaled = nodes.find(({ opType }) => opType === 'Softmax')?.inputs[0]
  const before = nodes.find(({ outputs }) => outputs[0] === scaled)?.inputs[0]
  const after = nodes.find(({ opType }) => opType === 'ArgMax')?.inputs[0]
  if (before === undefined || after === undefined) {
    throw new Error('ascent loop: expected the Softmax and the ArgMax of a head step, got another graph')
  }
  return { before, after }
}
