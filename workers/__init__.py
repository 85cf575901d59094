"""The Celery processes that supervise runs. They never import torch: models live in sandboxed children."""
