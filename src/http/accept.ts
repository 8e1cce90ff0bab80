/** @file Content negotiation: the `Accept` header against what a route can serve (RFC 9110, section 12.5.1). */

interface MediaRange {
  readonly type: string
  readonly quality: number
}

/**
 * The media type to answer with: the best quality wins, then the more explicit range, then the earlier offer.
 *
 * @param accept the header, absent when anything will do.
 * @returns undefined when no offer is acceptable.
 */
export function negotiate(accept: string | undefined, offers: readonly string[]): string | undefined {
  if (accept === undefined || accept.trim() === '') return offers[0]
  const ranges = accept.split(',').map(parseRange)
  let best: { offer: string; quality: number; precision: number } | undefined
  for (const offer of offers) {
    const match = matchOf(ranges, offer)
    if (match.quality === 0) continue
    if (
      best === undefined ||
      match.quality > best.quality ||
      (match.quality === best.quality && match.precision > best.precision)
    ) {
      best = { offer, ...match }
    }
  }
  return best?.offer
}

/** The most explicit range that covers the offer; quality 0 when none does, or when it is refused. */
function matchOf(ranges: readonly MediaRange[], offer: string): { quality: number; precision: number } {
  const family = `${offer.split('/', 1)[0]}/*`
  for (const [index, pattern] of [offer, family, '*/*'].entries()) {
    const range = ranges.find(({ type }) => type === pattern)
    if (range !== undefined) return { quality: range.quality, precision: -index }
  }
  return { quality: 0, precision: -3 }
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
  const quality = weight === undefined ? 1 : Number(weight)
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}
