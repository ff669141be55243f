"""The benchmark `answers`: reranking candidate answers to consumers' questions (MEDIQA 2019)."""
