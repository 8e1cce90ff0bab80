/**
 * @file What a judge's text says. The verdict stands right behind the last marker; nothing else is looked at.
 *
 * Deviates: LatentSeek's published parser takes "true" anywhere behind the marker, so that "False, this is not true" approves.
 */

export interface VerdictWords {
  readonly true: readonly string[]
  readonly false: readonly string[]
}

/** What may stand between the marker and the verdict: white space, punctuation that opens, emphasis, LaTeX boxes. */
const DRESSING = /^(?:\\(?:boxed|text|textbf|mathbf)\{|[\s:=*_`"'([{$])+/

/**
 * 1 when the word behind the last marker is one of `words.true`, else 0: also without a marker, or with another word there.
 * Case does not matter; the longest word that fits is the one that was meant.
 */
export function readVerdictWord(text: string, marker: string, words: VerdictWords): 0 | 1 {
  const said = behindMarker(text, marker)?.toLowerCase()
  if (said === undefined) return 0
  const longestFirst = [
    ...words.true.map((word) => ({ word: fold(word), verdict: 1 as const })),
    ...words.false.map((word) => ({ word: fold(word), verdict: 0 as const })),
  ].sort((a, b) => b.word.length - a.word.length)
  return longestFirst.find(({ word }) => startsWithWord(said, word))?.verdict ?? 0
}

/** A number that ends there: no fraction, percentage, "out of" or unit goes on with it. */
const NUMBER = /^(?:\d+(?:\.\d+)?|\.\d+)(?![\d\p{L}_]|[.,]\d|\s*[/%]|\s*out of)/iu

/** The number in [0, 1] behind the last marker; 0 when there is none, or it is part of something else ("8/10", "80%"). */
export function readScore(text: string, marker: string): number {
  const said = behindMarker(text, marker)
  const number = said && NUMBER.exec(said)?.[0]
  const score = Number(number || Number.NaN)
  return score >= 0 && score <= 1 ? score : 0
}

function behindMarker(text: string, marker: string): string | undefined {
  const literal = marker.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  // Not by index in a lower-cased copy: lower case may be longer.
  const last = [...text.matchAll(new RegExp(literal, 'giu'))].at(-1)
  return last && text.slice(last.index + last[0].length).replace(DRESSING, '')
}

const fold = (word: string) => word.trim().toLowerCase()

function startsWithWord(text: string, word: string): boolean {
  return word !== '' && text.startsWith(word) && !/^[\p{L}\p{N}_]/u.test(text.slice(word.length))
}
