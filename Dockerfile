# The image holds the wheel, what it needs at the versions that were tested, and no tool to build anything.

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock requirements-server.lock ./
# The locked build backend makes the wheel; the server's environment holds only what a server runs.
RUN python -m pip install --require-hashes -r requirements.lock \
    && python -m venv --without-pip /app \
    && python -m pip --python /app/bin/python install --require-hashes -r requirements-server.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY echolia echolia
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel . \
    && python -m pip --python /app/bin/python install --no-deps --no-index /wheel/*.whl

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 echolia \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin echolia \
    && install -d -o echolia -g echolia -m 0700 /data
COPY --from=build /app /app
# No .pyc files: the root file system is read-only.
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ECHOLIA_HOST=0.0.0.0 ECHOLIA_PORT=8000 ECHOLIA_DATA=/data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["echolia"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['ECHOLIA_PORT'] + '/healthz', timeout=4)"]
