// LangChain.js (npm install @langchain/openai) with a running server; SERVER is the server's address.
import { ChatOpenAI } from '@langchain/openai'

const server = process.env['SERVER'] ?? 'http://localhost:8080'
const open = (model: string) =>
  new ChatOpenAI({
    model,
    apiKey: process.env['API_KEY'] ?? 'unused',
    configuration: { baseURL: `${server}/v1` },
    // Parameters that LangChain does not know, ours among them.
    modelKwargs: { seed: 7, circadian: { learn: false } },
  })
const question = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'

const draft = await open('circadian/greedy').invoke(question)
console.log(`greedy: ${draft.text}`)

let answer = ''
let tokens = 0
for await (const { text, usage_metadata } of await open('circadian/latentseek').stream(question)) {
  answer += text
  tokens += usage_metadata?.output_tokens ?? 0
}
console.log(`latentseek: ${answer} (${tokens} tokens)`)

const turns = [
  ['system', 'Answer with a digit.'],
  ['human', question],
] as const
const [first, second] = await open('circadian/greedy').batch([[...turns], [...turns]])
console.log(`batch: ${first?.text === second?.text ? 'the same twice' : 'different'}`)

const refused = await open('circadian/greedy')
  .invoke('1 + '.repeat(2_000))
  .catch((error: Error) => error)
console.log(`refused: ${refused instanceof Error ? refused.name : 'no'}`)
