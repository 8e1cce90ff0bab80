/**
 * @file Reads the verdict from a judge's text. The verdict is the word or number directly after the last
 * marker; the rest of the text is ignored.
 *
 * Deviates: LatentSeek's published parser accepts "true" anywhere after the marker, so "False, this is not
 * true" approves.
 */

/** Words that mean true, and words that mean false. */
export interface VerdictWords {
  readonly true: readonly string[]
  readonly false: readonly string[]
}

/**
 * Text allowed between the marker and the verdict: white space, opening punctuation, emphasis, LaTeX boxes.
 */
const SEPARATOR = /^(?:\\(?:boxed|text|textbf|mathbf)\{|[\s:=*_`"'([{$])+/

/**
 * Returns 1 when the text after the last marker starts with one of `words.true`, else 0: also without a
 * marker, or with another word. Case is ignored; when several words match, the longest one decides.
 */
export function readVerdictWord(text: string, marker: string, words: VerdictWords): 0 | 1 {
  const verdict = afterMarker(text, marker)?.toLowerCase()
  if (verdict === undefined) return 0
  const longestFirst = [
    ...words.true.map((word) => ({ word: fold(word), value: 1 as const })),
    ...words.false.map((word) => ({ word: fold(word), value: 0 as const })),
  ].sort((a, b) => b.word.length - a.word.length)
  return longestFirst.find(({ word }) => startsWithWord(verdict, word))?.value ?? 0
}

/**
 * Number that is complete: not followed by a fraction, percentage, "out of" or unit. Of at most 99 digits on a side,
 * so that no text takes more than linear time.
 */
const NUMBER = /^(?:\d{1,99}(?:\.\d{1,99})?|\.\d{1,99})(?![\d\p{L}_]|[.,]\d|\s*[/%]|\s*out of)/iu

/**
 * Returns the number in [0, 1] after the last marker; 0 when there is none, or it is part of a longer term
 * ("8/10", "80%").
 */
export function readScore(text: string, marker: string): number {
  const verdict = afterMarker(text, marker)
  const number = verdict && NUMBER.exec(verdict)?.[0]
  const score = Number(number || Number.NaN)
  return score >= 0 && score <= 1 ? score : 0
}

function afterMarker(text: string, marker: string): string | undefined {
  const literal = marker.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  // Not by index in a lower-cased copy: lower-casing can change the length.
  const last = [...text.matchAll(new RegExp(literal, 'giu'))].at(-1)
  return last && text.slice(last.index + last[0].length).replace(SEPARATOR, '')
}

const fold = (word: string) => word.trim().toLowerCase()

function startsWithWord(text: string, word: string): boolean {
  return word !== '' && text.startsWith(word) && !/^[\p{L}\p{N}_]/u.test(text.slice(word.length))
}
