/** @file The form of a question: its text, the strategy, the budget. */

import { useState } from 'preact/hooks'
import type { SolveRequest } from '../../api.ts'
import { count } from '../../format.ts'

type Strategy = NonNullable<SolveRequest['strategy']>

/** Strategies with what each does, in the words of the page. */
const STRATEGIES: readonly (readonly [Strategy, string])[] = [
  ['auto', 'Starts from similar episodes, then refines'],
  ['latentseek', 'Moves the latents of the draft'],
  ['fork', 'Branches where the draft is uncertain'],
  ['majority', 'Samples answers and takes a vote'],
  ['best-of-n', 'Samples answers and takes the best'],
  ['lto', 'Samples answers by the reward model'],
  ['greedy', 'Returns the draft'],
]

/** That of the contract, in code points. */
const MAX_QUESTION = 16_384

interface QuestionFormProps {
  readonly examples: readonly string[]
  readonly isRunning: boolean
  onAsk(request: SolveRequest): void
  onCancel(): void
}

export function QuestionForm({ examples, isRunning, onAsk, onCancel }: QuestionFormProps) {
  const [question, setQuestion] = useState('')
  const [strategy, setStrategy] = useState<Strategy>('auto')
  const [seconds, setSeconds] = useState('')
  const [steps, setSteps] = useState('')
  const [learn, setLearn] = useState(true)
  const length = question.length <= MAX_QUESTION ? question.length : [...question].length
  const isTooLong = length > MAX_QUESTION

  function ask() {
    if (question.trim() === '' || isTooLong || isRunning) return
    const budget = {
      ...(seconds !== '' && { maxMs: Math.round(Number(seconds) * 1_000) }),
      ...(steps !== '' && { maxIterations: Number(steps) }),
    }
    onAsk({
      question,
      strategy,
      ...(Object.keys(budget).length > 0 && { budget }),
      ...(!learn && { learn }),
      // Chosen here, so that the same request can be sent again.
      seed: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
      explain: true,
    })
  }

  return (
    <form
      class="question"
      onSubmit={(event) => {
        event.preventDefault()
        ask()
      }}
    >
      <label for="question" class="unseen">
        Question
      </label>
      <textarea
        id="question"
        rows={3}
        placeholder="Ask a question"
        value={question}
        aria-describedby={isTooLong ? 'too-long' : undefined}
        onInput={({ currentTarget }) => setQuestion(currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
          event.preventDefault()
          ask()
        }}
      />
      {isTooLong && (
        <p id="too-long" class="fault" role="alert">
          A question may have {count(MAX_QUESTION)} characters. This one has {count(length)}.
        </p>
      )}
      {question === '' && (
        <div class="examples">
          <span class="hint">Try</span>
          {examples.map((example) => (
            <button key={example} type="button" class="quiet" onClick={() => setQuestion(example)}>
              {example}
            </button>
          ))}
        </div>
      )}
      <div class="settings">
        <label>
          Strategy
          <select
            value={strategy}
            onChange={({ currentTarget }) => setStrategy(currentTarget.value as Strategy)}
          >
            {STRATEGIES.map(([name, does]) => (
              <option key={name} value={name}>
                {name}: {does.toLowerCase()}
              </option>
            ))}
          </select>
        </label>
        <label>
          Seconds, at most
          <input
            type="number"
            min="0.1"
            max="600"
            step="any"
            placeholder="auto"
            value={seconds}
            onInput={({ currentTarget }) => setSeconds(currentTarget.value)}
          />
        </label>
        <label>
          Steps, at most
          <input
            type="number"
            min="0"
            max="256"
            placeholder="auto"
            value={steps}
            onInput={({ currentTarget }) => setSteps(currentTarget.value)}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={learn}
            onChange={({ currentTarget }) => setLearn(currentTarget.checked)}
          />
          Remember
        </label>
        <div class="actions">
          {isRunning && (
            <button type="button" onClick={onCancel}>
              Cancel
            </button>
          )}
          <button type="submit" class="primary" disabled={question.trim() === '' || isTooLong || isRunning}>
            Ask
          </button>
        </div>
      </div>
    </form>
  )
}
