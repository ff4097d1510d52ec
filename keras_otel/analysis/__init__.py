"""Which upstream predictions do the failures of LLM answers come from?"""
