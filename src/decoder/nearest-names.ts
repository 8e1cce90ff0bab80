/** @file Which names come nearest to one that was looked for. */

/** At most three of `candidates`, nearest first: by shared pairs of letters (Dice's coefficient). */
export function nearestNames(name: string, candidates: readonly string[]): string[] {
  const wanted = pairs(name)
  const score = (candidate: string) => {
    const found = pairs(candidate)
    const shared = [...found].filter((pair) => wanted.has(pair)).length
    return (2 * shared) / (wanted.size + found.size || 1)
  }
  return candidates
    .map((candidate) => ({ candidate, score: score(candidate) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

function pairs(text: string): Set<string> {
  return new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, i) => text.slice(i, i + 2)))
}
