# The sidecar, alone in its image. `make image` builds the same program and image without a container engine;
# release/release_test.go holds the two equal.
#
#   docker buildx build --build-arg VERSION=1.2.3 --platform linux/amd64,linux/arm64 -t authz:1.2.3 .

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETARCH
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH GOAMD64=v1 \
    go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -X main.version=$VERSION" -o /out/authz ./cmd/authz && \
    install -d -m 0750 /out/run/authz

FROM scratch
ARG VERSION=dev
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="authz" \
      org.opencontainers.image.description="External authorization for Envoy: JWTs, Rego policies, quotas" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE"
COPY --from=build /out/authz /authz
COPY --from=build --chown=65532:65532 /out/run/authz /run/authz
USER 65532:65532
ENTRYPOINT ["/authz"]
CMD ["run"]
