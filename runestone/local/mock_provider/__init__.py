"""A mock provider: the double that Runestone is tested and measured with.

    python -m runestone.local.mock_provider --port 4011 --bill bill.jsonl

It is a process of its own and imports no Django. It keeps its own bill, which is the
ground truth that the gateway's ledger is reconciled against, so nothing in here may
share code with the gateway: two sides that share a bug agree.

Routes: POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings,
POST /v1/moderations, GET /v1/models[/{id}], GET /bill[?attempt=ID], GET /calls.
Azure's: the first three below /openai/v1 and, with ?api-version, /openai/deployments/{model}.
Anthropic's: POST /v1/messages. Ollama's own: POST /api/chat, POST /api/embed, GET /api/tags.

TOKENS. A token is a word: a run of characters without whitespace. The prompt costs the
words of every text in every message (at least 1; images, tools and roles are free), an
answer costs its words, and every streamed content chunk is exactly one completion token.
A tool call costs one token for its name and one for each fragment of its arguments.
Where a prompt or an input is a list of token ids, its length counts.

THE ANSWER repeats the last user message. With several choices (n) each repeats it. A legacy
completion repeats its prompt, token ids as numbers, up to `max_tokens` (16 if it is not given).
`max_completion_tokens` or `max_tokens` cut it (finish_reason length), `stop` cuts it.
Tools are called when tool_choice says so (required, or a named function) or when the
scenario does, unless the last message is already a tool's result.

MONEY is whole pico-USD (1e-12 USD) per token, see prices.py:
(prompt - cached) * input + cached * cached_input + completion * output. Of Anthropic's wire a
token that is written to the cache costs 125 % of a fresh one, or 200 % if it is kept for an hour.

THE BILL has a line for each call that did work:
- an answer is billed when its last token is made, before its last bytes are sent;
- a stream that breaks off (the client hangs up, `cut`, `midstream_error`) is billed for
  its prompt and the tokens made until then, with finished false;
- a JSON call whose client hangs up is billed for its prompt alone, finished false (an
  embedding is not billed then);
- errors, `hang`, `drop`, `garbage` and `empty` did no work and have no line.

SCENARIOS change how a call is answered. The call's header `x-mock-scenario`, or else the
model name (`mock-<scenario>` or `<model>:<scenario>`), or else the process's own
`--scenario`, names one: words joined by `;`, each `word` or `word=value`, for example

    x-mock-scenario: delay=2;chunks=50;gap=0.02
    model: gpt-4o-mini:error=429;retry_after=3
    model: mock-tools=2

A word that stands alone takes the value in brackets. Unknown words in the header are
refused with 400; a model name whose suffix starts with no known word is only a name.

  normal             nothing special
  slow               delay=1;gap=0.1;chunks=20

time, in seconds:
  slow_headers [1]   wait before the status line
  delay [1]          wait before the first byte of the body
  gap [0.02]         wait between content chunks of a stream
  late_usage [1]     wait before the usage chunk
  deaf               work on when the client hangs up, and bill the whole answer
  hang               never answer

the answer:
  chunks, words [10] so many words, repeating the message or cutting it short
  huge [1048576]     one word of so many bytes: one chunk, one token
  tools [1]          call so many of the request's tools
  refusal            refuse
  length             end with finish_reason length, after half the words or after `chunks`
  finish=REASON      end with this finish_reason
  overrun            pay no heed to max_tokens
  mirror             say the request's own body

usage:
  reasoning [8]      so many hidden reasoning tokens before each answer
  cached [all]       so many prompt tokens came from the cache
  written=N          so many of the others were written to it (Anthropic's alone)
  written_1h=N       so many more of them, to be kept for an hour
  no_usage           report no usage at all (the bill still has it)
  usage_every_chunk  report it on every chunk, growing
  usage_twice        report the last usage chunk twice

failure before work:
  error [500]        an OpenAI error; code=, type=, message= and retry_after= [1] refine it
  garbage [200]      an HTML page with this status
  empty              200 and an empty body
  drop               cut the connection without a byte

failure in the middle:
  cut [3]            reset the connection after so many content chunks, no [DONE]
  fin                with cut, cut_json, drop: close in order instead of resetting
  cut_json           half of a JSON body, shorter than its content-length, then reset
  half_json          half of a JSON body, but a whole HTTP reply
  midstream_error [3] an error event after so many content chunks, then the end
  junk [3]           an event that is not JSON after so many content chunks, then go on
  no_done            end the stream in order, but without [DONE]
  json_for_stream    answer JSON to stream: true

the wire:
  comments           a keep-alive comment before every event
  crlf               lines end in CRLF, and the stream is split every 7 bytes
  split [7]          split the stream every so many bytes

Embeddings and moderations know the times and the failures before work; legacy completions
know all but `tools`, `refusal` and `mirror`. JSON knows `cut` as `cut_json`.
Anthropic's have no `usage_every_chunk` and `usage_twice`; its `no_done` leaves out message_stop,
an image is 100 tokens, and a call that asks for thinking gets `reasoning` in any case.
Ollama's streams know no `no_done`, `comments`, `usage_every_chunk` and `usage_twice`.

MODERATIONS flag a text with the word "violence". They are on the bill, with no tokens and the
amount 0, and report no usage.

when:
  first=N            only the first N calls with exactly this text; later ones are normal
  key=TEXT           means nothing; makes the text of a `first` unique
  odds=P             only this fraction of calls, by a generator seeded with --seed
  this|that|that     one of these scenarios, drawn for each call by the same generator
"""
