/** @file A solve as it happens, for streams under `/v1`: what belongs to the answer, and what to its reasoning. */

import type { Solution, SolveEvent } from '#solving'

export interface ProgressSink {
  reasoning(text: string): void
  answer(text: string): void
}

export interface Progress {
  onEvent(event: SolveEvent): void
  /**
   * Sends what is left of the answer.
   *
   * @returns false when the text that was sent does not begin the answer: an engine process crashed, and decoded other tokens
   *   when the request started over
   */
  finish(solution: Solution): boolean
}

/**
 * Divides the events of a solve. The draft of `greedy` is the answer, and is sent as it is decoded. The draft of a search is
 * part of the reasoning, with a line for each thing that happens; its answer is sent once it is chosen.
 *
 * @param isDraft whether the strategy returns its draft
 */
export function createProgress(isDraft: boolean, sink: ProgressSink): Progress {
  let answered = ''
  const line = (text: string) => sink.reasoning(`\n${text}\n`)
  const judged = (answer: string | null, reward: number) =>
    `${answer === null ? 'no answer' : `answer ${answer}`}, reward ${reward.toFixed(3)}`
  return {
    onEvent({ event, data }) {
      if (isDraft) {
        if (event !== 'tokens') return
        if (data.thought) return sink.reasoning(data.text)
        answered += data.text
        return sink.answer(data.text)
      }
      switch (event) {
        case 'tokens':
          return sink.reasoning(data.text)
        case 'retrieval':
          return data.retrieved.length === 0
            ? undefined
            : line(`[memory] ${data.retrieved.length} similar episodes`)
        case 'draft':
          return line(`[draft] ${judged(data.answer, data.reward)}`)
        case 'iteration':
          return line(`[update ${data.step}] ${judged(data.answer, data.reward)}`)
        case 'candidate':
          return line(`[${data.kind}] ${judged(data.answer, data.reward)}`)
      }
    },
    finish({ text, thought }) {
      if (!isDraft && thought !== null) sink.reasoning(`\n${thought}`)
      if (!text.startsWith(answered)) return false
      if (text.length > answered.length) sink.answer(text.slice(answered.length))
      return true
    },
  }
}
