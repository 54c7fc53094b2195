#!/bin/sh
# Every endpoint with curl, against a gateway that `make run` has started.
#
#   export RUNESTONE_API_KEY=sk-rs-…
#   sh docs/examples/calls.sh            all of them
#   sh docs/examples/calls.sh chat       those whose name contains "chat"
#
# RUNESTONE_URL is another address than http://localhost:4001. It ends with the number of failures.

set -u
URL="${RUNESTONE_URL:-http://localhost:4001}"
KEY="${RUNESTONE_API_KEY:?set RUNESTONE_API_KEY to the key that make run has printed}"
ONLY="${1:-}"
FAILED=0
ANSWER="$(mktemp)"
trap 'rm -f "$ANSWER"' EXIT

# call NAME STATUS curl's-arguments: shows the answer, and whether its status is as it should be.
call() {
  name="$1" wanted="$2"
  shift 2
  case "$name" in *"$ONLY"*) ;; *) return ;; esac
  printf '\n== %s\n' "$name"
  got="$(curl --silent --show-error --no-buffer --max-time 60 \
    --output "$ANSWER" --write-out '%{http_code}' "$@")" || got="no answer"
  head -c 2000 "$ANSWER"
  if [ "$got" = "$wanted" ]; then
    printf '\n-- ok %s: %s\n' "$name" "$got"
  else
    printf '\n-- FAILED %s: %s, not %s\n' "$name" "$got" "$wanted"
    FAILED=$((FAILED + 1))
  fi
}

# ask NAME STATUS PATH BODY: a POST of JSON with the key.
ask() {
  call "$1" "$2" "$URL$3" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' -d "$4"
}

HELLO='"messages": [{"role": "user", "content": "Say hello."}]'

ask chat 200 /v1/chat/completions "{\"model\": \"gpt-4o-mini\", $HELLO}"

ask chat-stream 200 /v1/chat/completions \
  "{\"model\": \"gpt-4o-mini\", $HELLO, \"stream\": true, \"stream_options\": {\"include_usage\": true}}"

ask chat-always-streamed 200 /v1/chat/stream "{\"model\": \"gpt-4o-mini\", $HELLO}"

ask chat-with-a-tool 200 /v1/chat/completions \
  "{\"model\": \"gpt-4o-mini\", $HELLO, \"tools\": [{\"type\": \"function\", \"function\":
    {\"name\": \"look_up\", \"parameters\": {\"type\": \"object\", \"properties\": {}}}}]}"

ask chat-with-our-own-fields 200 /v1/chat/completions \
  "{\"model\": \"gpt-4o-mini\", $HELLO, \"request_id\": \"order-17\",
    \"model_family\": \"gpt-4o\", \"capabilities\": [\"chat\", \"tools\"]}"

ask chat-too-dear 400 /v1/chat/completions \
  "{\"model\": \"gpt-4o-mini\", $HELLO, \"max_cost_per_token\": \"0.0000000001\"}"

ask completion 200 /v1/completions \
  '{"model": "gpt-3.5-turbo-instruct", "prompt": "Say hello.", "max_tokens": 8}'

ask embedding 200 /v1/embeddings '{"model": "text-embedding-3-small", "input": ["one", "two"]}'

ask moderation 200 /v1/moderations '{"input": "Is this harmless?"}'

ask response 200 /v1/responses '{"model": "gpt-4o-mini", "input": "Say hello."}'

ask response-stream 200 /v1/responses \
  '{"model": "gpt-4o-mini", "input": "Say hello.", "stream": true}'

ask message 200 /v1/messages "{\"model\": \"gpt-4o-mini\", \"max_tokens\": 64, $HELLO}"

call message-as-anthropic-sends-it 200 "$URL/v1/messages" -H "x-api-key: $KEY" \
  -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' \
  -d "{\"model\": \"gpt-4o-mini\", \"max_tokens\": 64, $HELLO, \"stream\": true}"

ask count-tokens 200 /v1/messages/count_tokens "{\"model\": \"gpt-4o-mini\", $HELLO}"

call models 200 "$URL/v1/models" -H "Authorization: Bearer $KEY"

call one-model 200 "$URL/v1/models/gpt-4o-mini" -H "api-key: $KEY"

call no-such-model 404 "$URL/v1/models/nothing" -H "Authorization: Bearer $KEY"

call a-wrong-key 401 "$URL/v1/models" -H "Authorization: Bearer sk-rs-wrong"

call health 200 "$URL/health/live"

call contract 200 "$URL/docs/openapi.yaml"

exit "$FAILED"
