# The chat as one static binary in an otherwise empty image: `gotcp server` and `gotcp client` in under 5 MB.
#
# dockerbuild.sh and dockerbuild.ps1 build and run it. It needs nothing beyond what every builder has had for years, so
# Docker's old builder and Podman's will do as well as BuildKit.

# Rust on Alpine has a musl toolchain, and that links static programs by itself, on whatever processor this runs.
FROM rust:1.95-alpine AS build
WORKDIR /gotcp
# Symbols would be half of the weight. Optimising the whole program at once would make every rebuild after an edit wait
# for half a minute, and a program that mostly waits for sockets is none the faster for it.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_PROFILE_RELEASE_LTO=false \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

# The dependencies first, built for an empty program: this layer is reused until Cargo.toml or Cargo.lock change. The
# empty program is then forgotten, lest it be taken for the real one when that has older files.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/broadcast \
    && printf '//! Nothing.\n/// Nothing.\npub fn main() {}\n' \
        | tee src/main.rs benches/broadcast/main.rs benches/pieces.rs > src/lib.rs \
    && cargo build --release --locked \
    && cargo clean --release --package gotcp

COPY src src
RUN cargo build --release --locked

FROM scratch
LABEL org.opencontainers.image.title="gotcp" \
      org.opencontainers.image.description="A small real-time chat over TCP" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /gotcp/target/release/gotcp /bin/gotcp

# Nobody in particular: a number, since an empty image has no file of users to look a name up in.
USER 65532:65532

# Where the two halves meet on the network goTCPnet.
ENV GOTCP_LISTEN=192.168.111.111:7777 \
    GOTCP_SERVER=192.168.111.111:7777
EXPOSE 7777

# Connects, sees the greeting and leaves without joining. No shell is needed, and none is there.
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["/bin/gotcp", "client", "--probe"]

# The server says goodbye, delivers what it owes and ends; a client leaves the room.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/gotcp"]
