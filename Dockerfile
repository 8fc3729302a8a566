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
# Finds the images that the classic builder leaves of this stage:
# docker image prune --filter label=booking-platform.stage=build
LABEL booking-platform.stage=build
WORKDIR /src
# The module proxy, for networks that do not reach the public one.
ARG GOPROXY
ARG GOSUMDB
ARG GOFLAGS
ENV CGO_ENABLED=0
# A separate layer for the modules: changed code does not download them again.
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
# For TLS connections to Stripe and Postgres.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/host /usr/local/bin/host
# A volume here belongs to the user below. In development without SESSION_SECRET, the host
# keeps its generated secret in it.
COPY --from=build --chown=65532:65532 /out/data /data
ENV PATH=/usr/local/bin DATA_DIR=/data
# A number, so that orchestrators can verify that it is not root.
USER 65532:65532
EXPOSE 3000
# The image has no shell and no curl, so the binary makes the request.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["host", "healthcheck"]
ENTRYPOINT ["host"]
