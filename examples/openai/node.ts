// OpenAI's client for Node (npm install openai) with a running server; SERVER is the server's address.
import OpenAI from 'openai'

const server = process.env['SERVER'] ?? 'http://localhost:8080'
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: process.env['API_KEY'] ?? 'unused' })
const messages = [{ role: 'user' as const, content: 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?' }]

const models = await client.models.list()
console.log(`models: ${models.data.map(({ id }) => id).join(', ')}`)

// Everything of ours is in `circadian`, which the types of the client do not know.
const ours = { circadian: { learn: false } }
const draft = await client.chat.completions.create({ model: 'circadian/greedy', messages, ...ours })
console.log(`greedy: ${draft.choices[0]?.message.content}`)

let answer = ''
const stream = await client.chat.completions.create({
  model: 'circadian/latentseek',
  messages,
  seed: 7,
  stream: true,
  stream_options: { include_usage: true },
  ...ours,
})
for await (const { choices, usage } of stream) {
  answer += choices[0]?.delta.content ?? ''
  if (usage) {
    const { reasoning_tokens } = usage.completion_tokens_details ?? {}
    console.log(
      `latentseek: ${answer} (${usage.completion_tokens} tokens, and ${reasoning_tokens} to find it)`,
    )
  }
}

const response = await client.responses.create({ model: 'circadian/auto', input: messages, store: false })
console.log(`response: ${response.status}`)

try {
  await client.chat.completions.create({ model: 'circadian/greedy', messages, logprobs: true })
} catch (error) {
  if (!(error instanceof OpenAI.BadRequestError)) throw error
  console.log(`refused: ${error.param}`)
}
