# The evaluations alone, to run by hand without the service: no Django, no database, no secrets.
#   docker run --rm --network none -v "$PWD/model:/model:ro" -v "$PWD/out:/out" model-auditor-sandbox run /out/request.json --out /out
FROM model-auditor-base
ENTRYPOINT ["tini", "--", "python", "-m", "evaluations"]
CMD ["list"]
