"""Candidate actions from any server that speaks OpenAI's protocol: vLLM, hosted APIs, local servers."""
