/** @file One solve as the page knows it: what its events have said so far. */

import type {
  RetrievedEpisode,
  Solution,
  SolutionCandidate,
  SolveEvent,
  SolveRequest,
} from '../../contract.ts'

/** An answer with its text, as far as events have told it: those of the draft tell its terms only at the end. */
export type KnownAnswer = Pick<SolutionCandidate, 'kind' | 'answer' | 'text' | 'reward' | 'confidence'> &
  Partial<Pick<SolutionCandidate, 'rewardTerms' | 'logProbability' | 'tokens'>>

/** Something that happened: an answer was judged, or the latents moved a step. */
export interface Moment {
  readonly kind: 'draft' | 'memory' | 'step' | 'sample' | 'branch'
  /** Number of the step or the sample, from 1; null for draft and memory. */
  readonly number: number | null
  /** Time since the question was sent, in ms. */
  readonly at: number
  /** Index of its answer in `answers`. */
  readonly answer: number
  /** Whether its answer is new, and the best so far. */
  readonly isAccepted: boolean
  /** Whether its answer is one that was not there before. */
  readonly isNew: boolean
}

type Status = 'running' | 'answered' | 'cancelled' | 'broken' | 'refused'

export interface Run {
  readonly request: SolveRequest
  /** Same for the repetition of a request whose stream broke. */
  readonly idempotencyKey: string
  readonly startedAt: number
  status: Status
  /** Time of the last event, in ms since the start. */
  elapsed: number
  events: number
  /** Text of the draft so far, and of its thought. */
  text: string
  thought: string
  retrieved: readonly RetrievedEpisode[] | null
  readonly answers: KnownAnswer[]
  readonly moments: Moment[]
  /** Index in `answers` of the best so far; null before the first. */
  best: number | null
  solution: Solution | null
  fault: unknown
}

export function beginRun(request: SolveRequest, idempotencyKey: string, now: number): Run {
  return {
    request,
    idempotencyKey,
    startedAt: now,
    status: 'running',
    elapsed: 0,
    events: 0,
    text: '',
    thought: '',
    retrieved: null,
    answers: [],
    moments: [],
    best: null,
    solution: null,
    fault: null,
  }
}

/** Adds one event to a run. */
export function addEvent(run: Run, { event, data }: SolveEvent, now: number): void {
  run.elapsed = now - run.startedAt
  run.events += 1
  if (event === 'retrieval') run.retrieved = data.retrieved
  else if (event === 'tokens') {
    if (data.thought) run.thought += data.text
    else run.text += data.text
  } else if (event === 'draft') {
    const text = run.text === '' ? data.reasoning : run.text
    addAnswer(run, { kind: 'draft', answer: data.answer, text, reward: data.reward, confidence: null })
  } else if (event === 'candidate') addAnswer(run, data)
  else if (event === 'iteration') addStep(run, data)
  else if (event === 'answer') finish(run, data)
}

function addAnswer(run: Run, answer: KnownAnswer): void {
  const index = run.answers.push(answer) - 1
  const best = run.best === null ? undefined : run.answers[run.best]
  const isAccepted = best === undefined || worth(answer) > worth(best)
  if (isAccepted) run.best = index
  const kind = kindOf(run, answer)
  const isNumbered = kind === 'sample' || kind === 'branch'
  const number = isNumbered ? run.moments.filter((moment) => moment.kind === kind).length + 1 : null
  run.moments.push({ kind, number, at: run.elapsed, answer: index, isAccepted, isNew: true })
}

/** An update of the latents: a moment of its own, unless its answer was just judged. */
function addStep(run: Run, step: Extract<SolveEvent, { event: 'iteration' }>['data']): void {
  const last = run.moments.at(-1)
  const same = (answer: KnownAnswer | undefined) =>
    answer !== undefined && answer.answer === step.answer && answer.reward === step.reward
  const isJudged = step.changed && last?.isNew && last.number === null && last.kind !== 'draft'
  if (last !== undefined && isJudged && same(run.answers[last.answer])) {
    run.moments[run.moments.length - 1] = { ...last, kind: 'step', number: step.step, at: run.elapsed }
    return
  }
  // Unchanged latents keep their answer; changed ones may lead back to one that is known.
  const answer = step.changed ? run.answers.findLastIndex(same) : (last?.answer ?? -1)
  if (answer === -1) return
  run.moments.push({
    kind: 'step',
    number: step.step,
    at: run.elapsed,
    answer,
    isAccepted: false,
    isNew: false,
  })
}

function kindOf({ request, retrieved, moments }: Run, { kind }: KnownAnswer): Moment['kind'] {
  if (kind === 'draft' || kind === 'sample') return kind
  if (request.strategy === 'fork') return 'branch'
  // Until the latents move, only what memory made of the draft is judged.
  const hasMoved = moments.some((moment) => moment.kind === 'step' || moment.kind === 'memory')
  const mayLead = (retrieved?.length ?? 0) > 0
  return mayLead && !hasMoved ? 'memory' : 'step'
}

/** The answer tells the terms of all candidates, and P(correct) of the draft. */
function finish(run: Run, solution: Solution): void {
  run.solution = solution
  run.status = 'answered'
  const candidates = solution.candidates ?? []
  if (run.answers.length === 0) {
    // The answer to a repeated request comes alone.
    for (const candidate of candidates) addAnswer(run, candidate)
  } else if (candidates.length === run.answers.length) {
    candidates.forEach((candidate, index) => {
      run.answers[index] = candidate
    })
  }
  const chosen = run.answers.findIndex(
    ({ text, answer, reward }) =>
      answer === solution.answer && reward === solution.reward && text.endsWith(solution.text),
  )
  if (chosen !== -1) run.best = chosen
}

/** By what the service compares answers: P(correct) by the fused judge, else the reward. */
const worth = ({ confidence, reward }: KnownAnswer): number => (confidence === null ? reward : confidence - 1)

/** Whether memory, in place of the draft, led to the answer. */
export const hasMemoryLed = ({ moments, best }: Run): boolean =>
  moments.some(({ kind, answer }) => kind === 'memory' && answer === best)

/** The text of the draft; what there is of it while it is decoded. */
export const baseText = ({ answers, text }: Run): string =>
  answers.find(({ kind }) => kind === 'draft')?.text ?? text

export function nameOf({ kind, number }: Moment): string {
  if (kind === 'draft') return 'Draft'
  if (kind === 'memory') return 'Memory'
  const word = { step: 'Step', sample: 'Sample', branch: 'Branch' }[kind]
  return number === null ? 'Regeneration' : `${word} ${number}`
}
