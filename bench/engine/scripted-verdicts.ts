/**
 * @file Reward schedule for a model whose verdicts carry no information: its judge runs, only the verdict is
 * replaced.
 */

import type { Engine } from '#engine'
import type { LatentSession } from '#ports'

/**
 * Returns an engine whose criteria give P(true) = `schedule[k]` to the k-th different answer that a session
 * judges; the draft is the first. Answers beyond the schedule get its last entry. Equal answers get equal
 * verdicts.
 */
export function withScriptedVerdicts(engine: Engine, schedule: readonly number[]): Engine {
  return {
    ...engine,
    async open(prompt, options) {
      const session = await engine.open(prompt, options)
      const tokensOf = new Map<number, string>()
      const seen: string[] = []
      const scripted: Pick<LatentSession, 'generate' | 'score'> = {
        async generate(rows) {
          const continuations = await session.generate(rows)
          for (const { sequence, tokens } of continuations) tokensOf.set(sequence, tokens.join(' '))
          return continuations
        },
        async score(rows, tokens) {
          await session.score(rows, tokens)
          return rows.map(({ sequence }) => {
            const answer = tokensOf.get(sequence) ?? ''
            if (!seen.includes(answer)) seen.push(answer)
            const p = schedule[Math.min(seen.indexOf(answer), schedule.length - 1)] ?? 0
            // `true` is the first of the two verdict words.
            return Float32Array.of(Math.log(p / (1 - p)), 0)
          })
        },
      }
      return { ...session, ...scripted }
    },
  }
}
