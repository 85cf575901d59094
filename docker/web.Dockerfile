# The web service. It never loads a model: docker build -f docker/base.Dockerfile -t model-auditor-base . first.
FROM model-auditor-base
EXPOSE 8000
CMD ["sh", "-c", "python -m auditor.setup && exec granian --interface wsgi --host 0.0.0.0 --port 8000 --blocking-threads 8 auditor.wsgi:application"]
