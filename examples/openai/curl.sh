#!/usr/bin/env bash
# OpenAI's API with curl and a running server. Needs node to read JSON. SERVER is the server's address.
set -euo pipefail
server=${SERVER:-http://localhost:8080}

# Sends a request and prints the body of the reply: call PATH [JSON].
call() {
  curl -sSN "$server/v1$1" -H "authorization: Bearer ${API_KEY:-unused}" -H 'content-type: application/json' ${2+-d "$2"}
}
# Evaluates an expression over the JSON on stdin, which it names `it`.
show() {
  node -p "const it = JSON.parse(fs.readFileSync(0)); $1"
}
question='[{"role": "user", "content": "Eve at the school: 6 + 4 * 7 - 4 - 5 = ?"}]'

call /models | show '"models: " + it.data.map(({ id }) => id).join(", ")'
call /chat/completions "{\"model\": \"circadian/greedy\", \"messages\": $question, \"circadian\": {\"learn\": false}}" |
  show '"greedy: " + it.choices[0].message.content'
# The lines of a stream are `data: JSON`; the last one is `data: [DONE]`.
call /chat/completions "{\"model\": \"circadian/latentseek\", \"messages\": $question, \"seed\": 7, \"stream\": true,
  \"stream_options\": {\"include_usage\": true}, \"circadian\": {\"learn\": false}}" |
  sed -n 's/^data: {/{/p' | node -e '
    const chunks = fs.readFileSync(0, "utf8").trim().split("\n").map((line) => JSON.parse(line))
    const answer = chunks.map(({ choices: [choice] }) => choice?.delta.content ?? "").join("")
    const { completion_tokens, completion_tokens_details: { reasoning_tokens } } = chunks.at(-1).usage
    console.log(`latentseek: ${answer} (${completion_tokens} tokens, and ${reasoning_tokens} to find it)`)'
call /responses "{\"model\": \"circadian/auto\", \"input\": $question, \"store\": false}" | show '"response: " + it.status'
call /chat/completions "{\"model\": \"circadian/greedy\", \"messages\": $question, \"logprobs\": true}" |
  show '"refused: " + it.error.param'
