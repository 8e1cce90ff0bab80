#!/usr/bin/env bash
# A session with a running server: solve, read the episode, correct it, list, consolidate, read the report.
# Needs curl and node. SERVER is the server's address.
set -euo pipefail
server=${SERVER:-http://localhost:8080}

# Sends a request and prints the JSON body of the reply: call PATH [JSON].
call() {
  curl -sS --fail-with-body "$server$1" -H 'content-type: application/json' ${2+-d "$2"}
}
# Evaluates an expression over the JSON on stdin, which it names `it`.
show() {
  node -p "const it = JSON.parse(fs.readFileSync(0)); $1"
}

solution=$(call /solve '{"question": "Eve at the school: 6 + 4 * 7 - 4 - 5 = ?", "strategy": "latentseek", "seed": 7}')
show '`solve: the draft answered ${it.base.answer}, the search ${it.answer}`' <<<"$solution"

id=$(show it.episodeId <<<"$solution")
call "/episodes/$id" | show '`episode: ${it.candidates.length} judged candidates, admitted: ${it.admitted}`'
call "/episodes/$id/feedback" '{"answer": "5"}' | show '`feedback: labelled ${it.label} by ${it.labelSource}`'
call '/episodes?limit=1' | show '`list: the newest episode asks "${it.episodes[0].question}"`'

night=$(call /admin/consolidations '{}' | show it.id)
until call "/admin/consolidations/$night" | show it.status | grep -qE 'promoted|rejected|failed'; do sleep 0.2; done
call "/admin/consolidations/$night/report" |
  show 'it.artifacts.map((each) => `report: ${each.kind} ${each.status}, ${each.reason}`).join("\n")'
