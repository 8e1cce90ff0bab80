/** @file Renders conversations with the model's chat template, the variables of the profile and a fixed date. */

import { createContext, Script } from 'node:vm'
import { Template } from '@huggingface/jinja'
import type { ModelProfile } from './profile.ts'
import type { ChatMessage } from './types.ts'

export interface ChatTemplate {
  /**
   * Returns the text of a conversation, with the generation prompt appended. A template that takes no system
   * turn, or ignores it, receives its text at the beginning of the first user turn.
   *
   * @throws Error when the template refuses the turns, or has not ended within `RENDER_LIMIT_MS`
   */
  render(messages: readonly ChatMessage[]): string
  /** Returns the text of a conversation that is over, without a generation prompt. @throws Error, as `render` */
  renderEnded(messages: readonly ChatMessage[]): string
}

export interface ChatTemplateOptions {
  readonly variables: ModelProfile['template']['variables']
  /** Date that `strftime_now` writes, `YYYY-MM-DD`. */
  readonly date: string
  /** Texts of the special tokens by name, such as `bos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>
}

/** Upper bound, in ms, on the time of a template, which may loop. Templates of published models take less than 10. */
const RENDER_LIMIT_MS = 2000

/** Text that a template which takes system turns repeats. */
const PROBE = 'circadian system probe'

/** @param source Jinja text @throws Error when it cannot be parsed */
export function createChatTemplate(source: string, options: ChatTemplateOptions): ChatTemplate {
  const { variables, specialTokens } = options
  // The interpreter refuses variables with the names of its globals, so the template replaces the clock.
  const template = new Template(`{% set strftime_now = circadian_date %}\n${source}`)
  const date = new Date(`${options.date}T00:00:00Z`)
  const renderWith = (messages: readonly ChatMessage[], generationPrompt: boolean) =>
    withinLimit(() =>
      template.render({
        // As in transformers: some templates test `tools is not none`, which an undefined variable passes.
        tools: null,
        documents: null,
        ...specialTokens,
        ...variables,
        circadian_date: (format: string) => formatDate(date, format),
        messages,
        add_generation_prompt: generationPrompt,
      }),
    )
  const render = (messages: readonly ChatMessage[]) => renderWith(messages, true)
  let takesSystem: boolean | undefined
  return {
    render(messages) {
      if (messages[0]?.role !== 'system') return render(messages)
      takesSystem ??= repeatsSystem(render)
      return render(takesSystem ? messages : foldSystem(messages))
    },
    renderEnded: (messages) => renderWith(messages, false),
  }
}

const limited: { task: () => string } = { task: () => '' }
const context = createContext(limited)
const runTask = new Script('task()')

/** Runs a task that V8 stops when the limit is over, whatever the task calls. */
function withinLimit(task: () => string): string {
  limited.task = task
  try {
    return runTask.runInContext(context, { timeout: RENDER_LIMIT_MS })
  } catch (thrown) {
    // The error of a time-out is of the other context.
    const isOver = (thrown as { readonly code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    if (!isOver) throw thrown
    throw new Error(`no end after ${RENDER_LIMIT_MS / 1000} s: the template loops`, { cause: thrown })
  }
}

function repeatsSystem(render: (messages: readonly ChatMessage[]) => string): boolean {
  const turns: ChatMessage[] = [
    { role: 'system', content: PROBE },
    { role: 'user', content: 'question' },
  ]
  try {
    return render(turns).includes(PROBE)
  } catch {
    return false
  }
}

function foldSystem([system, ...turns]: readonly ChatMessage[]): ChatMessage[] {
  const [first, ...rest] = turns
  if (system === undefined || first?.role !== 'user') return turns
  return [{ role: 'user', content: `${system.content}\n\n${first.content}` }, ...rest]
}

const inEnglish = (date: Date, part: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', ...part }).format(date)

/** Directives of Python's `strftime` for a date at midnight. */
const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => String(date.getUTCFullYear()).slice(-2),
  m: (date) => String(date.getUTCMonth() + 1).padStart(2, '0'),
  d: (date) => String(date.getUTCDate()).padStart(2, '0'),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  b: (date) => inEnglish(date, { month: 'short' }),
  B: (date) => inEnglish(date, { month: 'long' }),
  a: (date) => inEnglish(date, { weekday: 'short' }),
  A: (date) => inEnglish(date, { weekday: 'long' }),
  H: () => '00',
  I: () => '12',
  M: () => '00',
  S: () => '00',
  p: () => 'AM',
  '%': () => '%',
}

function formatDate(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (directive, dash: string, name: string) => {
    const written = DIRECTIVES[name]?.(date)
    if (written === undefined) return directive
    return dash === '' ? written : written.replace(/^[0 ]/, '')
  })
}
