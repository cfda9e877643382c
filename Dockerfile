# A container image that stands in for apache/kafka: the same start command, variables, places and
# log lines. Build: docker build -t ottla .   Run: docker run -p 9092:9092 ottla
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package ottla --bin ottla

FROM debian:bookworm-slim
COPY --from=build /src/target/release/ottla /usr/local/bin/ottla
COPY scripts/docker/run scripts/docker/server.properties /etc/kafka/docker/
COPY scripts/kafka/ /opt/kafka/bin/
# Programs that start this image (Testcontainers, for one) put scripts into /opt/kafka and /tmp.
RUN useradd --create-home --shell /bin/bash appuser \
    && mkdir -p /etc/kafka/secrets /var/lib/kafka/data /mnt/shared/config /opt/kafka/config \
    && chown -R appuser:root /etc/kafka /var/lib/kafka /mnt/shared/config /opt/kafka \
    && chmod -R ug+w /etc/kafka /var/lib/kafka /mnt/shared/config /opt/kafka
USER appuser
EXPOSE 9092
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
STOPSIGNAL SIGTERM
CMD ["/etc/kafka/docker/run"]
