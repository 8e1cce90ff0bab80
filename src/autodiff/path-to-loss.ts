/** @file How a value reaches the loss, in words. */

import { type Graph, type Node, reads } from '#onnx'

/** `from` and the shortest way from it to the loss: `TopK "k" (TopK "k" -> Mul "m" -> loss)`. */
export function pathToLoss(graph: Graph, from: Node, loss: string): string {
  const describe = ({ domain, opType, name, outputs }: Node) =>
    `${domain === '' ? '' : `${domain}.`}${opType} "${name || outputs[0]}"`
  const paths: Node[][] = [[from]]
  const seen = new Set([from])
  for (const path of paths) {
    const { outputs } = path.at(-1)!
    if (outputs.includes(loss)) {
      return `${describe(from)}, which reaches the loss by ${[...path.map(describe), `"${loss}"`].join(' -> ')}`
    }
    for (const node of graph.nodes) {
      if (seen.has(node) || !outputs.some((output) => output !== '' && reads(node).has(output))) continue
      seen.add(node)
      paths.push([...path, node])
    }
  }
  return describe(from)
}
