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

/** Returns the number of elements of a shape; 1 for a scalar. */
export function product(sizes: readonly Size[]): Size {
  return toSize(toMonomial(sizes))
}

/**
 * Returns the element count of `whole` divided by that of `part`; null when symbols leave it open or it is
 * not whole.
 */
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
 * Returns the shape that two shapes broadcast to. A symbol and a number above 1 give the number (the symbol
 * is 1 or that number); two different symbols give a `fresh` size.
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

/** Returns `axis` counted from the front; in ONNX, negative axes count from the back. */
export function frontAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}
