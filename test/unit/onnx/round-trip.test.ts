import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { expect, test } from 'vitest'
import {
  createGraph,
  createModel,
  decodeModel,
  encodeModel,
  externalDataLocations,
  float,
  graph,
  int,
  ints,
  loadTensor,
  type Model,
  type Node,
  string,
  tensor,
  value,
} from '#onnx'
import { createTensor, float32, int64, toFloat16 } from '#tensor'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'

const node = (
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Node['attributes'] = new Map(),
): Node => ({
  opType,
  domain: '',
  name: `${opType}_${outputs[0]}`,
  inputs,
  outputs,
  attributes,
})

function modelOf(nodes: Node[], parts: Partial<Model['graph']> = {}): Model {
  const border = { inputs: [value('x', 'float32', ['n', 2, null])], outputs: [value('y', 'float32')] }
  return createModel(createGraph({ name: 'g', nodes, ...border, ...parts }), { '': 17, 'com.microsoft': 1 })
}

/** Encodes protobuf from `[field, bytes | string | number]` pairs; nested arrays are messages. */
type Fields = [number, string | number | Uint8Array | Fields][]
function message(fields: Fields): Uint8Array {
  const writer = new BinaryWriter()
  for (const [field, content] of fields) {
    if (typeof content === 'number') writer.tag(field, WireType.Varint).int64(content)
    else {
      writer.tag(field, WireType.LengthDelimited)
      if (typeof content === 'string') writer.string(content)
      else writer.bytes(content instanceof Uint8Array ? content : message(content))
    }
  }
  return writer.finish()
}

test('a decoder and its bytes are unchanged by a round trip', () => {
  const { model, bytes } = tinyDecoder({ bias: true, softCap: 3 })
  const back = decodeModel(bytes)
  expect(back).toEqual(model)
  expect(encodeModel(back)).toEqual(bytes)
})

test('attributes of every kind keep type and value', () => {
  const nested = createGraph({
    name: 'nested',
    nodes: [node('Neg', ['x'], ['z'])],
    outputs: [value('z', 'float32')],
  })
  const attributes: Node['attributes'] = new Map([
    ['float', float(0.5)],
    ['zero', int(0)],
    ['min', int(-(2n ** 63n))],
    ['text', string('größer')],
    ['bytes', { type: 'string', value: Uint8Array.of(255, 0, 254) }],
    ['tensor', tensor(int64([1, -2, 3], [3, 1]))],
    ['graph', graph(nested)],
    ['floats', { type: 'floats', value: [1, -1.5] }],
    ['ints', ints([-1, 2 ** 40])],
    ['strings', { type: 'strings', value: [Uint8Array.of(65)] }],
    ['graphs', { type: 'graphs', value: [nested] }],
  ])
  const model = modelOf([node('Custom', ['x', ''], ['y'], attributes)])
  const back = decodeModel(encodeModel(model))
  expect(back.graph.nodes).toEqual(model.graph.nodes)
})

const TYPE_FIELDS: Fields = [
  [
    1,
    [
      [1, 1],
      [
        2,
        [
          [
            1,
            [
              [1, 4],
              [3, 'DATA_CHANNEL'],
            ],
          ],
          [1, [[2, 'n']]],
          [1, []],
        ],
      ],
    ],
  ],
  [6, 'IMAGE'],
]
/** A model with fields that the IR does not model, at every level. */
const UNMODELLED = message([
  [1, 8],
  [
    7,
    [
      [
        1,
        [
          [1, 'x'],
          [1, 'w'],
          [2, 'y'],
          [4, 'Custom'],
          [
            5,
            [
              [1, 'a'],
              [3, 7],
              [20, 2],
              [13, 'attribute doc'],
            ],
          ],
          [
            5,
            [
              [1, 'r'],
              [20, 2],
              [21, 'from outside'],
            ],
          ],
          [8, 'overload'],
          [
            9,
            [
              [1, 'k'],
              [2, 'v'],
            ],
          ],
        ],
      ],
      [2, 'g'],
      [
        5,
        [
          [1, 2],
          [2, 8],
          [8, 'w'],
          [6, 'first'],
          [6, 'second'],
          [12, 'tensor doc'],
        ],
      ],
      [
        11,
        [
          [1, 'x'],
          [2, TYPE_FIELDS],
          [3, 'value doc'],
        ],
      ],
      [
        11,
        [
          [1, 'sequence'],
          [2, [[4, [[1, TYPE_FIELDS]]]]],
        ],
      ],
      [
        12,
        [
          [1, 'y'],
          [2, TYPE_FIELDS],
        ],
      ],
      [14, [[1, 'w']]],
      [
        16,
        [
          [1, 'graph'],
          [2, 'meta'],
        ],
      ],
    ],
  ],
  [
    8,
    [
      [1, ''],
      [2, 17],
    ],
  ],
  [
    14,
    [
      [1, 'license'],
      [2, 'none'],
    ],
  ],
  [
    25,
    [
      [1, 'a function'],
      [4, 'in'],
      [13, 'overload'],
    ],
  ],
])

test('fields that the IR does not model survive at every level, byte for byte', () => {
  const model = decodeModel(UNMODELLED)
  expect(model.graph.inputs[0]!.type).toEqual({ dataType: 1, shape: [4, 'n', null] })
  expect(encodeModel(model)).toEqual(UNMODELLED)
  // They stay with their node when it is changed.
  const renamed = {
    ...model,
    graph: { ...model.graph, nodes: model.graph.nodes.map((n) => ({ ...n, name: 'new' })) },
  }
  expect(decodeModel(encodeModel(renamed)).graph.nodes[0]!.extra).toEqual(model.graph.nodes[0]!.extra)
})

test('numbers in typed fields become the bytes of raw_data', () => {
  const tensorProto = (dataType: number, dims: number[], field: Fields): Fields => [
    ...dims.map((dim): Fields[number] => [1, dim]),
    [2, dataType],
    ...field,
    [8, 'w'],
  ]
  const packed = (write: (writer: BinaryWriter) => void) => {
    const writer = new BinaryWriter()
    write(writer)
    return writer.finish()
  }
  const read = (proto: Fields) =>
    loadTensor(
      decodeModel(
        message([
          [1, 8],
          [
            7,
            [
              [5, proto],
              [12, [[1, 'w']]],
            ],
          ],
          [
            8,
            [
              [1, ''],
              [2, 17],
            ],
          ],
        ]),
      ).graph.initializers.get('w')!,
    )
  expect(read(tensorProto(1, [2], [[4, packed((w) => w.float(1.5).float(-2))]]))).toEqual(float32([1.5, -2]))
  expect(read(tensorProto(7, [], [[7, packed((w) => w.int64(-5))]]))).toEqual(int64(-5))
  const halves = toFloat16(Float32Array.of(0.25, -8))
  const int32s = packed((w) => w.int32(halves[0]!).int32(halves[1]!))
  expect(read(tensorProto(10, [2], [[5, int32s]]))).toEqual(createTensor('float16', [2], halves))
  expect(read(tensorProto(3, [2], [[5, packed((w) => w.int32(-1).int32(7))]]))).toEqual(
    createTensor('int8', [2], Int8Array.of(-1, 7)),
  )
  expect(read(tensorProto(11, [1], [[10, packed((w) => w.double(0.1))]]))).toEqual(
    createTensor('float64', [1], Float64Array.of(0.1)),
  )
  expect(read(tensorProto(12, [1], [[11, packed((w) => w.uint64(2 ** 32 - 1))]]))).toEqual(
    createTensor('uint32', [1], Uint32Array.of(2 ** 32 - 1)),
  )
  expect(read(tensorProto(1, [0, 3], []))).toEqual(float32([], [0, 3]))
})

test('external data stays a reference and is listed, nested graphs included', () => {
  const external = (location: string) => ({
    dataType: 1,
    dims: [1000],
    bytes: new Uint8Array(),
    external: new Map([
      ['location', location],
      ['offset', '4096'],
      ['checksum', 'abc'],
    ]),
  })
  const nested = createGraph({
    name: 'nested',
    nodes: [node('Identity', ['v'], ['z'])],
    initializers: new Map([['v', external('b.data')]]),
    outputs: [value('z', 'float32')],
  })
  const nodes = [
    node(
      'Constant',
      [],
      ['c'],
      new Map([['value', { type: 'tensor' as const, value: external('c/d.data') }]]),
    ),
    node('If', ['x'], ['y'], new Map([['then_branch', graph(nested)]])),
  ]
  const model = modelOf(nodes, {
    initializers: new Map([
      ['w', external('b.data')],
      ['u', external('../a.data')],
    ]),
  })
  const back = decodeModel(encodeModel(model))
  expect(back).toEqual(model)
  expect(externalDataLocations(back)).toEqual(['../a.data', 'b.data', 'c/d.data'])
  expect(() => loadTensor(back.graph.initializers.get('w')!)).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }),
  )
})

test.each<[string, Uint8Array, RegExp]>([
  ['text', new TextEncoder().encode('<html>404</html>'), /16 bytes of another format/],
  ['nothing', new Uint8Array(), /without graph/],
  ['a truncated file', tinyDecoder().bytes.slice(0, 5000), /expected an ONNX protobuf/],
  [
    'a node without op type',
    message([
      [1, 8],
      [7, [[1, [[1, 'x']]]]],
      [8, [[2, 17]]],
    ]),
    /op type/,
  ],
  [
    'missing bytes',
    message([
      [
        7,
        [
          [
            5,
            [
              [1, 4],
              [2, 1],
              [8, 'w'],
              [9, Uint8Array.of(1, 2)],
            ],
          ],
        ],
      ],
      [8, [[2, 17]]],
    ]),
    /16 bytes of float32 \[4\] in initializer "w", got 2/,
  ],
  [
    'a negative dimension',
    message([
      [
        7,
        [
          [
            5,
            [
              [1, -4],
              [2, 1],
              [8, 'w'],
            ],
          ],
        ],
      ],
      [8, [[2, 17]]],
    ]),
    /dims >= 0/,
  ],
  [
    'a duplicate initializer',
    message([
      [
        7,
        [
          [
            5,
            [
              [2, 1],
              [8, 'w'],
              [9, new Uint8Array(4)],
            ],
          ],
          [
            5,
            [
              [2, 1],
              [8, 'w'],
              [9, new Uint8Array(4)],
            ],
          ],
        ],
      ],
      [8, [[2, 17]]],
    ]),
    /one initializer w/,
  ],
  [
    'external data without a location',
    message([
      [
        7,
        [
          [
            5,
            [
              [1, 4],
              [2, 1],
              [8, 'w'],
              [14, 1],
            ],
          ],
        ],
      ],
      [8, [[2, 17]]],
    ]),
    /location/,
  ],
  [
    'an undefined value',
    encodeModel(modelOf([node('Neg', ['ghost'], ['y'])])),
    /reads "ghost", which is not defined/,
  ],
  [
    'a value defined twice',
    encodeModel(modelOf([node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])])),
    /already defined/,
  ],
  ['an undefined output', encodeModel(modelOf([])), /returns "y", which is not defined/],
])('refuses %s', (_, bytes, pattern) => {
  expect(() => decodeModel(bytes)).toThrow(
    expect.objectContaining({ code: 'ONNX_INVALID', message: expect.stringMatching(pattern) }),
  )
})
