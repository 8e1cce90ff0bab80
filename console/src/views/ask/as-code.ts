/** @file A request as code: for the command line, and for two clients. */

import type { SolveRequest } from '../../contract.ts'

export const LANGUAGES = ['curl', 'TypeScript', 'openai-python'] as const
export type Language = (typeof LANGUAGES)[number]

/** Fields that the operations under /v1 name themselves, or that make no sense there. */
type Ours = Omit<SolveRequest, 'question' | 'strategy' | 'seed'>

export function asCode(language: Language, request: SolveRequest, server: string, hasKey: boolean): string {
  if (language === 'curl') return asCurl(request, server, hasKey)
  return language === 'TypeScript' ? asTypeScript(request, server, hasKey) : asPython(request, server, hasKey)
}

function asCurl(request: SolveRequest, server: string, hasKey: boolean): string {
  const body = JSON.stringify(request).replaceAll("'", `'\\''`)
  return [
    `curl -N ${server}/solve`,
    ...(hasKey ? [`  -H "authorization: Bearer $API_KEY"`] : []),
    `  -H 'content-type: application/json' -H 'accept: text/event-stream'`,
    `  -d '${body}'`,
  ].join(' \\\n')
}

function asTypeScript(request: SolveRequest, server: string, hasKey: boolean): string {
  const key = hasKey ? ', apiKey: process.env.API_KEY' : ''
  return `import { createClient } from 'circadian-client'

const client = createClient({ baseUrl: ${JSON.stringify(server)}${key} })

for await (const { event, data } of client.solveEvents(${JSON.stringify(request, null, 2)})) {
  if (event === 'answer') console.log(data.answer)
}
`
}

function asPython(
  { question, strategy = 'auto', seed, ...ours }: SolveRequest,
  server: string,
  hasKey: boolean,
) {
  const extra = pythonOf(ours satisfies Ours)
  return `import os
import openai

client = openai.OpenAI(base_url=${JSON.stringify(`${server}/v1`)}, api_key=${hasKey ? 'os.environ["API_KEY"]' : '"unused"'})
completion = client.chat.completions.create(
    model="circadian/${strategy}",
    messages=[{"role": "user", "content": ${JSON.stringify(question)}}],${seed === undefined ? '' : `\n    seed=${seed},`}
    extra_body={"circadian": ${extra}},
)
print(completion.choices[0].message.content)
`
}

/** JSON as Python reads it. A string of JSON is one of Python. */
function pythonOf(value: unknown): string {
  if (value === true) return 'True'
  if (value === false) return 'False'
  if (value === null) return 'None'
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(', ')}]`
  if (typeof value !== 'object') return JSON.stringify(value)
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}: ${pythonOf(field)}`).join(', ')}}`
}
