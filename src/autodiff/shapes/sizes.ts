/** @file Sizes of axes: numbers, symbols, and products of them such as "5*B". */

export type Size = number | string

interface Monomial {
  readonly coefficient: number
  readonly symbols: readonly string[]
}

function toMonomial(sizes: readonly Size[]): Monomial {
  const factors = sizes.flatMap((size) => String(size).split('*'))
  const isNumber = (factor: string) => /^\d+$/.test(factor)
  return {
    coefficient: factors.filter(isNumber).reduce((product, factor) => product * Number(factor), 1),
    symbols: factors.filter((factor) => !isNumber(factor)).sort(),
  }
}

function toSize({ coefficient, symbols }: Monomial): Size {
  if (symbols.length === 0 || coefficient === 0) return coefficient
  return [...(coefficient === 1 ? [] : [coefficient]), ...symbols].join('*')
}

/** The number of elements of a shape; 1 for a scalar. */
export function product(sizes: readonly Size[]): Size {
  return toSize(toMonomial(sizes))
}

/** How many times the elements of `part` fit into those of `whole`; null when that cannot be told. */
export function quotient(whole: readonly Size[], part: readonly Size[]): Size | null {
  const dividend = toMonomial(whole)
  const divisor = toMonomial(part)
  const symbols = [...dividend.symbols]
  for (const symbol of divisor.symbols) {
    const at = symbols.indexOf(symbol)
    if (at < 0) return null
    symbols.splice(at, 1)
  }
  const coefficient = dividend.coefficient / divisor.coefficient
  return Number.isInteger(coefficient) ? toSize({ coefficient, symbols }) : null
}

export function isStatic(sizes: readonly Size[]): sizes is readonly number[] {
  return sizes.every((size) => typeof size === 'number')
}

/**
 * The shape that two shapes broadcast to. Where a symbol meets a number, the number wins (the symbol is 1 or that number);
 * of two symbols, neither is known to: the size is `fresh`.
 */
export function broadcast(a: readonly Size[], b: readonly Size[], fresh: () => Size): readonly Size[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1
    const right = b[axis - rank + b.length] ?? 1
    if (left === right || right === 1) return left
    if (left === 1 || typeof right === 'number') return right
    return typeof left === 'number' ? left : fresh()
  })
}

/** `axis` counted from the front; ONNX lets negative ones count from the back. */
export function frontAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}
