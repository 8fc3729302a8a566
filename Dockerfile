# The reference host as one static binary, without a shell and not as root.
# Works with the classic builder and with BuildKit.
#
#   docker build -t booking-platform .
#
# Both images can be replaced where these cannot be pulled. The first needs Go,
# sh and CA certificates; the second nothing at all.
ARG GO_IMAGE=golang:1.26-alpine
ARG BASE_IMAGE=scratch

FROM ${GO_IMAGE} AS build
# What the classic builder leaves behind of this stage is found by it:
# docker image prune --filter label=booking-platform.stage=build
LABEL booking-platform.stage=build
WORKDIR /src
# Where modules come from, for networks that do not reach the public proxy.
ARG GOPROXY
ARG GOSUMDB
ARG GOFLAGS
ENV CGO_ENABLED=0
# The modules are a layer of their own: changed code does not fetch them again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/host ./cmd/host \
 && mkdir /out/data

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="booking-platform" \
      org.opencontainers.image.source="https://github.com/booking-platform/booking-platform" \
      org.opencontainers.image.licenses="MIT"
# Stripe is reached over TLS, Postgres often is.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/host /usr/local/bin/host
# A volume here belongs to the user below: in development without SESSION_SECRET the host
# keeps the secret that it makes in it.
COPY --from=build --chown=65532:65532 /out/data /data
ENV PATH=/usr/local/bin DATA_DIR=/data
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 3000
# There is no shell and no curl here: the binary asks itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["host", "healthcheck"]
ENTRYPOINT ["host"]
