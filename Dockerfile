# gotcp as one static binary in an otherwise empty image of under 15 MB.
#
# dockerbuild.sh and dockerbuild.ps1 build and run it. BuildKit is not needed: Docker's old builder and Podman work, too.

# Rust on Alpine links static programs by default, with musl, for whatever processor this runs on.
FROM rust:1.95-alpine AS build
# The scripts remove images that have this label and no name.
LABEL org.opencontainers.image.title="gotcp"
WORKDIR /gotcp
# Symbols would double the size. Optimising across crates would make every rebuild half a minute slower, and a program
# that mostly waits for sockets gains nothing from it.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_PROFILE_RELEASE_LTO=false \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# The dependencies are built first, for an empty program, so that this layer is used again until Cargo.toml or
# Cargo.lock changes. The empty program is then removed: where it is newer than the real one's files, it would be taken
# for up to date.
COPY Cargo.toml Cargo.lock ./
COPY compare/Cargo.toml compare/
RUN mkdir -p src benches/broadcast compare/src \
    && printf '//! Nothing.\n/// Nothing.\npub fn main() {}\n' \
        | tee src/main.rs benches/broadcast/main.rs benches/pieces.rs compare/src/main.rs > src/lib.rs \
    && cargo build --release --locked --features nats \
    && cargo clean --release --package gotcp

COPY src src
RUN cargo build --release --locked --features nats && mkdir -p /image/data

FROM scratch
LABEL org.opencontainers.image.title="gotcp" \
      org.opencontainers.image.description="A small real-time chat over TCP" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /gotcp/target/release/gotcp /bin/gotcp
# A volume that is mounted there for the first time becomes the user's, as this folder is.
COPY --from=build --chown=65532:65532 /image/ /

# An unprivileged user, given as a number because an empty image has no user names.
USER 65532:65532

# A server listens on every address of its container. A client looks for the server where the scripts put it.
# What a server keeps besides the room, the certificate that it made, is in the same place.
ENV GOTCP_LISTEN=0.0.0.0:7777 \
    GOTCP_SERVER=192.168.111.111:7777 \
    XDG_STATE_HOME=/data
EXPOSE 7777

# Connects, reads the greeting and leaves without joining.
HEALTHCHECK --interval=10s --timeout=3s --retries=3 \
    CMD ["/bin/gotcp", "client", "--probe", "--server", "127.0.0.1:7777"]

# On SIGTERM the server delivers what it owes and ends; a client leaves the room.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/gotcp"]
