/** @file Signals of the tokens of an answer, put together from the calls that decoded it, and their means. */

import type { TokenSignals } from '#ports'

/** Means over the tokens of an answer whose signals are known, in nats; null when none has a signal. */
export interface MeanSignals {
  readonly logProbability: number | null
  readonly selfCertainty: number | null
}

/** Returns the signals of `whole`, with those of `begun`, the call that decoded its beginning, where it has none. */
export function joinSignals(begun: TokenSignals | null, whole: TokenSignals | null): TokenSignals | null {
  if (begun === null || whole === null) return whole
  const join = (first: Float32Array, all: Float32Array) =>
    all.map((value, i) => (Number.isNaN(value) ? (first[i] ?? value) : value))
  return {
    logProbabilities: join(begun.logProbabilities, whole.logProbabilities),
    entropies: join(begun.entropies, whole.entropies),
    selfCertainties: join(begun.selfCertainties, whole.selfCertainties),
  }
}

/**
 * Returns signals of the tokens of a prefix as far as an earlier answer of the request has them: of the tokens that both
 * begin with and, where its log-probability is known, of the token behind them, which was taken from the same
 * distribution. NaN for all others; null when the earlier answer has no signals.
 *
 * @param logProbability of the first token that differs, in nats
 */
export function sharedSignals(
  prefix: readonly number[],
  { tokens, signals }: { readonly tokens: readonly number[]; readonly signals: TokenSignals | null },
  logProbability?: number,
): TokenSignals | null {
  if (signals === null) return null
  const apart = prefix.findIndex((token, position) => token !== tokens[position])
  const shared = apart === -1 ? prefix.length : apart
  const known = shared + (logProbability === undefined || apart === -1 ? 0 : 1)
  const take = (values: Float32Array) => {
    const taken = new Float32Array(prefix.length).fill(Number.NaN)
    taken.set(values.subarray(0, known))
    return taken
  }
  const logProbabilities = take(signals.logProbabilities)
  if (known > shared) logProbabilities[shared] = logProbability!
  return {
    logProbabilities,
    entropies: take(signals.entropies),
    selfCertainties: take(signals.selfCertainties),
  }
}

/** Returns the signals of the first `length` tokens. */
export function takeSignals(signals: TokenSignals | null, length: number): TokenSignals | null {
  return (
    signals && {
      logProbabilities: signals.logProbabilities.subarray(0, length),
      entropies: signals.entropies.subarray(0, length),
      selfCertainties: signals.selfCertainties.subarray(0, length),
    }
  )
}

export function meanSignals(signals: TokenSignals | null): MeanSignals {
  return {
    logProbability: meanOf(signals?.logProbabilities),
    selfCertainty: meanOf(signals?.selfCertainties),
  }
}

/** A half-precision model may compute a log-probability of -infinity, which is no signal either. */
function meanOf(values: Float32Array = new Float32Array()): number | null {
  const known = values.filter(Number.isFinite)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}
