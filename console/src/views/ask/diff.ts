/** @file The difference of two texts, word by word. */

export interface Piece {
  readonly kind: 'same' | 'added' | 'removed'
  readonly text: string
}

/** Upper bound on the cells of the table; beyond it the middle of the texts counts as replaced. */
const MAX_CELLS = 1_000_000

/** Returns the pieces that turn `before` into `after`, by the longest common subsequence of their words. */
export function diffWords(before: string, after: string): readonly Piece[] {
  const [a, b] = [wordsOf(before), wordsOf(after)]
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1
  let end = 0
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1
  const pieces: Piece[] = []
  const push = (kind: Piece['kind'], text: string) => {
    const last = pieces.at(-1)
    if (text === '') return
    if (last?.kind === kind) pieces[pieces.length - 1] = { kind, text: last.text + text }
    else pieces.push({ kind, text })
  }
  push('same', a.slice(0, start).join(''))
  for (const { kind, text } of middle(a.slice(start, a.length - end), b.slice(start, b.length - end)))
    push(kind, text)
  push('same', a.slice(a.length - end).join(''))
  return pieces
}

/** Words, each with the white space before it. */
const wordsOf = (text: string): readonly string[] => text.match(/\s*\S+|\s+$/g) ?? []

function middle(a: readonly string[], b: readonly string[]): readonly Piece[] {
  if (a.length * b.length > MAX_CELLS)
    return [
      { kind: 'removed', text: a.join('') },
      { kind: 'added', text: b.join('') },
    ]
  const width = b.length + 1
  /** Length of the longest common subsequence of the words from (row, column) on. */
  const common = new Uint32Array((a.length + 1) * width)
  const at = (row: number, column: number) => common[row * width + column] ?? 0
  for (let row = a.length - 1; row >= 0; row--)
    for (let column = b.length - 1; column >= 0; column--)
      common[row * width + column] =
        a[row] === b[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
  const pieces: Piece[] = []
  let row = 0
  let column = 0
  while (row < a.length || column < b.length) {
    const [old = '', fresh = ''] = [a[row], b[column]]
    if (row < a.length && column < b.length && old === fresh) {
      pieces.push({ kind: 'same', text: old })
      row += 1
      column += 1
    } else if (row < a.length && (column === b.length || at(row + 1, column) >= at(row, column + 1))) {
      pieces.push({ kind: 'removed', text: old })
      row += 1
    } else {
      pieces.push({ kind: 'added', text: fresh })
      column += 1
    }
  }
  return pieces
}
