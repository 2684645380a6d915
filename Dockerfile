# The hub's own processes: hub api, hub worker match, hub worker deliver, hub clock. Redis runs beside them.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/hub
COPY requirements.lock ./
RUN /opt/hub/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY hub hub
COPY subscriptions subscriptions
RUN /opt/hub/bin/pip install --no-cache-dir --no-deps --no-index --no-build-isolation .

FROM python:3.12-slim
ENV PATH=/opt/hub/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HUB_DATA_DIR=/var/lib/hub
# The directory belongs to the user before a volume is laid over it: a fresh volume takes that over.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin hub \
    && install --directory --owner hub --group hub --mode 0700 /var/lib/hub
COPY --from=build /opt/hub /opt/hub
USER 10001:10001
WORKDIR /var/lib/hub
EXPOSE 8000
# Of the api; docker-compose.yml has none for the parts that serve no HTTP.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, ssl; from urllib.request import urlopen; \
        urlopen(('https' if os.getenv('HUB_TLS_CERTIFICATE') else 'http') + '://127.0.0.1:8000/readyz', timeout=4, \
        context=ssl._create_unverified_context())"]
ENTRYPOINT ["hub"]
CMD ["api", "--host", "0.0.0.0", "--port", "8000"]
