"""What tests, the demo and the benchmarks share: real LightRAG directories without an LLM, and a check of
what is in them.

`standins` replaces the three things LightRAG needs from outside (LLM, embedding, tokenizer), `graphs` builds
directories with them, `check` reads a directory and says what does not fit together, `server` runs LightRAG's own
server.
"""
