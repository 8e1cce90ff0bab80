/** @file What the terms of the reward say of one answer, criterion by criterion. */

import { decimals, percent } from '../../format.ts'
import { Empty } from '../../parts/panel.tsx'
import type { KnownAnswer } from './run.ts'

const TERMS: Readonly<Record<string, string>> = {
  verifier: 'The model’s own verdict',
  format: 'Format',
  lrm: 'Reward model',
}

export function Verdict({ answer }: { readonly answer: KnownAnswer | undefined }) {
  const terms = Object.entries(answer?.rewardTerms ?? {})
  if (answer === undefined || terms.length === 0)
    return (
      <Empty title="No verdict yet">
        <p>The terms of the draft come with the answer, those of other candidates as they are judged.</p>
      </Empty>
    )
  const groups = terms.filter(([name]) => !name.includes('.'))
  return (
    <div class="verdict">
      {groups.map(([group, value]) => {
        const parts = terms.filter(([name]) => name.startsWith(`${group}.`))
        return (
          <section key={group}>
            <h3>
              {TERMS[group] ?? group} <span class="mono">{decimals(value)}</span>
            </h3>
            <dl>
              {(parts.length === 0 ? [[group, value] as const] : parts).map(([name, part]) => (
                <Criterion key={name} name={name.slice(name.indexOf('.') + 1)} degree={1 + part} />
              ))}
            </dl>
          </section>
        )
      })}
      {answer.confidence !== null && (
        <section>
          <h3>Probability that it is correct</h3>
          <dl>
            <Criterion name="fused judge" degree={answer.confidence} />
          </dl>
        </section>
      )}
    </div>
  )
}

/** @param degree degree to which the criterion holds, in [0, 1] */
function Criterion({ name, degree }: { readonly name: string; readonly degree: number }) {
  return (
    <div class="criterion">
      <dt>{name}</dt>
      <dd>
        <span class="bar" aria-hidden="true">
          <span style={{ width: `${degree * 100}%` }} />
        </span>
        <span class="mono">{percent(degree)}</span>
      </dd>
    </div>
  )
}
