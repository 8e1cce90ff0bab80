/** @file Feedback on an answer with one click, and what it changed. */

import { useState } from 'preact/hooks'
import { bodyOf, type Episode, type Feedback as FeedbackBody } from '../../api.ts'
import { Fault } from '../../parts/fault.tsx'
import { useSession } from '../../session.tsx'

const STEERING: Readonly<Record<Episode['steering'], string>> = {
  steers: 'It may lead similar questions from now on.',
  refuted: 'Its answer is refuted, so it leads no other question.',
  notAdmitted: 'It was not good enough to lead other questions.',
  noLatents: 'It has no latents to lead other questions with.',
  superseded: 'Another answer to its question is confirmed, so it leads no other question.',
  withdrawn: 'What led to it was deleted or refuted, so it leads no other question.',
  dominated: 'A better episode of almost the same question leads in its place.',
}

interface Effect {
  readonly before: Episode
  readonly after: Episode
}

export function Feedback({ episodeId }: { readonly episodeId: string }) {
  const { client } = useSession()
  const [answer, setAnswer] = useState('')
  const [isSending, setSending] = useState(false)
  const [effect, setEffect] = useState<Effect | null>(null)
  const [fault, setFault] = useState<unknown>(null)
  const params = { path: { id: episodeId } }

  async function send(body: FeedbackBody) {
    setSending(true)
    setFault(null)
    try {
      const before = await bodyOf(client.GET('/episodes/{id}', { params }))
      const after = await bodyOf(client.POST('/episodes/{id}/feedback', { params, body }))
      setEffect({ before, after })
    } catch (thrown) {
      setFault(thrown)
    } finally {
      setSending(false)
    }
  }

  return (
    <div class="feedback">
      <div class="row">
        <button type="button" disabled={isSending} onClick={() => send({ correct: true })}>
          Right
        </button>
        <button type="button" disabled={isSending} onClick={() => send({ correct: false })}>
          Wrong
        </button>
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault()
            if (answer.trim() !== '') void send({ answer: answer.trim() })
          }}
        >
          <label for="right-answer">or the right answer</label>
          <input
            id="right-answer"
            value={answer}
            maxLength={1024}
            onInput={({ currentTarget }) => setAnswer(currentTarget.value)}
          />
          <button type="submit" disabled={isSending || answer.trim() === ''}>
            Send
          </button>
        </form>
      </div>
      <Fault fault={fault} />
      <div role="status">{effect !== null && <EffectText {...effect} />}</div>
    </div>
  )
}

function EffectText({ before, after }: Effect) {
  const labels = after.candidates.map(({ label }) => label)
  const changed = after.candidates.filter(({ label }, index) => label !== before.candidates[index]?.label)
  const right = labels.filter((label) => label === true).length
  const wrong = labels.filter((label) => label === false).length
  const verdict = after.label === null ? 'not labelled' : after.label ? 'right' : 'wrong'
  return (
    <p class="effect">
      <span class="tag accent">Learned</span> The answer is labelled <strong>{verdict}</strong> by your
      feedback. Of its {labels.length} judged {labels.length === 1 ? 'answer' : 'answers'}, {right}{' '}
      {right === 1 ? 'is' : 'are'} right and {wrong} wrong; {changed.length}{' '}
      {changed.length === 1 ? 'label has' : 'labels have'} changed. {STEERING[after.steering]}
    </p>
  )
}
