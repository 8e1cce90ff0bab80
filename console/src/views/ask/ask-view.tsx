/** @file A question, and its answer. */

import { useState } from 'preact/hooks'
import type { Solution } from '../../api.ts'
import { decimals, duration, percent } from '../../format.ts'
import { Fault } from '../../parts/fault.tsx'
import { Panel, Stat } from '../../parts/panel.tsx'
import { useSession } from '../../session.tsx'

export function AskView() {
  const { client } = useSession()
  const [question, setQuestion] = useState('')
  const [solution, setSolution] = useState<Solution | null>(null)
  const [fault, setFault] = useState<unknown>(null)
  return (
    <div class="view ask">
      <h1>Ask</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          setFault(null)
          client.solve({ question }).then(setSolution, setFault)
        }}
      >
        <label for="question">Question</label>
        <textarea
          id="question"
          rows={3}
          value={question}
          onInput={({ currentTarget }) => setQuestion(currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={question.trim() === ''}>
          Ask
        </button>
      </form>
      <Fault fault={fault} />
      {solution !== null && (
        <Panel title="Answer">
          <p class="answer">{solution.answer}</p>
          <dl class="stats">
            <Stat label="Reward" value={decimals(solution.reward)} />
            {solution.confidence !== null && <Stat label="Confidence" value={percent(solution.confidence)} />}
            <Stat label="Time" value={duration(solution.timings.totalMs)} />
          </dl>
        </Panel>
      )}
    </div>
  )
}
