# A worker: supervises runs. Each run is a child confined by Landlock, seccomp and an empty network namespace;
# where the container's runtime refuses one of these, the report card says so.
FROM model-auditor-base
CMD ["celery", "-A", "workers.app", "worker", "-Q", "work", "--concurrency", "1", "--without-gossip", "--without-mingle", "-l", "WARNING"]
