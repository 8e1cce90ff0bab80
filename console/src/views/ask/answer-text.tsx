/** @file The text of one answer: as it is decoded, or against the draft. */

import { useMemo } from 'preact/hooks'
import { ScrollText } from '../../parts/scroll-text.tsx'
import { diffWords } from './diff.ts'

/** @param before text of the draft; the same as `text` for the draft itself */
export function AnswerText({
  before,
  text,
  isGrowing,
}: {
  readonly before: string
  readonly text: string
  readonly isGrowing: boolean
}) {
  const pieces = useMemo(() => (before === text ? null : diffWords(before, text)), [before, text])
  return (
    <ScrollText class="answer-text" label="Text of the answer">
      {pieces === null
        ? text
        : pieces.map(({ kind, text: piece }, index) => {
            if (kind === 'same') return <span key={index}>{piece}</span>
            const Mark = kind === 'added' ? 'ins' : 'del'
            return <Mark key={index}>{piece}</Mark>
          })}
      {isGrowing && <span class="caret" aria-hidden="true" />}
    </ScrollText>
  )
}
