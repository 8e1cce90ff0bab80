/** @file The conversation that a question becomes. Its words belong to the model profile and to the caller. */

import {
  type ChatMessage,
  type Engine,
  exampleTurns,
  fillTemplate,
  type ModelProfile,
  type PromptCodec,
} from '#engine'
import { coerceError, ServiceError } from '#errors'
import type { TokenSpan } from '#ports'
import type { SolveRequest } from './contract.ts'

export interface Prompt {
  readonly messages: readonly ChatMessage[]
  readonly tokens: readonly number[]
}

type Asked = Pick<SolveRequest, 'question' | 'context'>

/**
 * Writes the prompt of a request with the model's chat template. One system turn comes first: the profile's text, then the
 * caller's system turns, wherever they stood. The profile's worked examples follow, then the caller's other turns, and last the
 * question in the profile's words.
 * Control tokens in texts of the caller are plain text.
 *
 * @throws ServiceError REQUEST_INVALID when the template refuses the turns of the context, or leaves one out
 */
export function writePrompt(request: Asked, codec: PromptCodec, profile: ModelProfile): Prompt {
  const messages = promptMessages(request, codec, profile)
  if (request.context === undefined || request.context.length === 0) {
    return { messages, tokens: codec.encodeChat(messages) }
  }
  checkTurns(messages, codec)
  return { messages, tokens: codec.encodeChat(messages) }
}

/** Returns the turns of a request; there is no system turn when it would be empty. */
export function promptMessages(
  { question, context = [] }: Asked,
  { quote }: Pick<PromptCodec, 'quote'>,
  { solver }: ModelProfile,
): ChatMessage[] {
  const isSystem = ({ role }: { readonly role: string }) => role === 'system'
  const system = [solver.system, ...context.filter(isSystem).map(({ content }) => quote(content))]
    .filter((text) => text !== '')
    .join('\n\n')
  const turns = context
    .filter((turn) => !isSystem(turn))
    .map(({ role, content, reasoning }): ChatMessage => {
      const turn = { role, content: quote(content) }
      // The name that templates of models that think read.
      return reasoning === undefined ? turn : { ...turn, reasoning_content: quote(reasoning) }
    })
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system } as const]),
    ...exampleTurns(solver),
    ...turns,
    { role: 'user', content: fillTemplate(solver.template, { question: quote(question) }) },
  ]
}

/** Checks that the template takes the turns. Templates may leave out thoughts, and so change an assistant's turn. */
function checkTurns(messages: readonly ChatMessage[], codec: PromptCodec): void {
  const rendered = render(messages, codec)
  const lost = messages.find(
    ({ role, content }) => role !== 'assistant' && !rendered.includes(content.trim()),
  )
  if (lost !== undefined)
    throw invalidContext(`takes turns with the role ${lost.role}`, 'one that leaves it out')
}

function render(messages: readonly ChatMessage[], codec: PromptCodec): string {
  try {
    return codec.renderChat(messages)
  } catch (thrown) {
    const roles = messages.map(({ role }) => role)
    const shown = roles.length > MAX_ROLES ? `${roles.slice(0, MAX_ROLES).join(', ')}, ...` : roles.join(', ')
    throw invalidContext(`takes the turns ${shown}`, coerceError(thrown).message)
  }
}

/** Upper bound on the roles in an error. */
const MAX_ROLES = 8

function invalidContext(expected: string, got: string): ServiceError {
  const detail = `expected turns for the model: a chat template that ${expected}, got ${got.slice(0, 200)}`
  return new ServiceError('REQUEST_INVALID', `context: ${detail}`, {
    faults: [{ pointer: '/context', detail }],
  })
}

/**
 * Returns the text by which a request is remembered: the question, after the turns before it. Requests with the same question
 * in different conversations are different questions.
 */
export function rememberedQuestion({ question, context = [] }: Asked): string {
  if (context.length === 0) return question
  const turns = [...context, { role: 'user', content: question }]
  return turns.map(({ role, content }) => `${role}: ${content}`).join('\n\n')
}

/** Questions that begin and end with different tokens. */
const PROBES = ['1', 'a', '?']

/**
 * Returns a function from a prompt to the place of its question: the tokens that are not those of every prompt of the
 * profile. Turns before the question belong to it. The tokens of some question that is repeated in the template include what
 * stands between.
 */
export function createQuestionSpan({
  codec,
  model,
}: Pick<Engine, 'codec' | 'model'>): (prompt: readonly number[]) => TokenSpan {
  const probes = PROBES.map((probe) =>
    codec.encodeChat(promptMessages({ question: probe }, codec, model.profile)),
  )
  return (prompt) => {
    const common = (place: (tokens: readonly number[], index: number) => number | undefined) =>
      Math.min(
        ...probes.map((probe) => {
          let length = 0
          while (length < prompt.length && place(prompt, length) === place(probe, length)) length += 1
          return length
        }),
      )
    const from = Math.min(
      prompt.length - 1,
      common((tokens, index) => tokens[index]),
    )
    const after = common((tokens, index) => tokens.at(-1 - index))
    return { from, to: Math.max(from + 1, prompt.length - after) }
  }
}
