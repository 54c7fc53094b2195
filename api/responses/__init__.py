"""`/v1/responses`: OpenAI's Responses API, over providers that only speak chat.

A request is read (`reading`), its conversation fetched (`store`), and put into a chat request's
words (`chat`, `messages`). The pipeline does the rest as for any chat, money included. Its answer
becomes output items (`output`), a response object (`answer`) or response events (`relay`).
Everything but `store`, `desk` and `views` is pure translation.
"""
