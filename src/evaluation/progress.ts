/** @file Progress of an evaluation on a terminal: a bar with the time left. Elsewhere nothing is written. */

import { drawBar, type ProgressStream, timeLeft } from '#models'
import type { AnswerRecord, Task } from './records.ts'

export interface EvaluationProgress {
  add(record: AnswerRecord): void
  /** Ends the line of the bar. */
  end(): void
}

/**
 * @param records answers of earlier calls
 * @param tasks tasks that are not answered yet
 */
export function createEvaluationProgress(
  stream: ProgressStream,
  records: readonly AnswerRecord[],
  tasks: readonly Task[],
  concurrency: number,
): EvaluationProgress {
  const total = records.length + tasks.length
  const left = new Map<string, number>()
  for (const { arm } of tasks) left.set(arm.name, (left.get(arm.name) ?? 0) + 1)
  const known = new Map<string, { answers: number; seconds: number }>()
  let done = 0
  const count = ({ arm, seconds }: AnswerRecord) => {
    const { answers, seconds: before } = known.get(arm) ?? { answers: 0, seconds: 0 }
    known.set(arm, { answers: answers + 1, seconds: before + seconds })
    done += 1
  }
  for (const record of records) count(record)

  /** Arms differ in cost, so each has a pace of its own; an arm without answers is taken to be like the others. */
  function secondsLeft(): number {
    const paces = [...known.values()]
    const sum = (of: 'answers' | 'seconds') => paces.reduce((total, pace) => total + pace[of], 0)
    const usual = sum('seconds') / sum('answers')
    return [...left].reduce((total, [arm, tasks]) => {
      const own = known.get(arm)
      return total + (tasks * (own === undefined ? usual : own.seconds / own.answers)) / concurrency
    }, 0)
  }

  function draw(arm: string): void {
    if (!stream.isTTY) return
    drawBar(stream, done / total, `of ${total} answers, ${timeLeft(secondsLeft())} left  ${arm}`)
  }

  return {
    add(record) {
      left.set(record.arm, (left.get(record.arm) ?? 0) - 1)
      count(record)
      draw(record.arm)
    },
    end() {
      if (stream.isTTY) stream.write('\n')
    },
  }
}
