# What the images share: Python, the locked packages, the code, and an account without rights.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home auditor \
 && install -d -o auditor -g auditor /state

WORKDIR /srv/auditor
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY auditor/__init__.py auditor/install.py auditor/
RUN pip install --quiet torch==2.13.0 \
 && pip install --quiet --no-deps --require-hashes --requirement requirements.lock \
 && pip install --quiet --no-deps textattack==0.3.11
COPY . .
RUN pip install --quiet --no-deps --no-build-isolation --editable .

ENV AUDITOR_STATE=/state
USER auditor
VOLUME /state
ENTRYPOINT ["tini", "--"]
