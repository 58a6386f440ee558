# What the scripts here have in common. Meant to be sourced, with the top folder as the current one.

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

has() {
    command -v "$1" > /dev/null
}

# Says what is not checked here, and keeps it for the end of the run.
skipped() {
    printf 'skipped: %s\n' "$1" >&2
    [ -z "${GOTCP_SKIPPED:-}" ] || printf '%s\n' "$1" >> "$GOTCP_SKIPPED"
}

# Installs Debian packages where that is possible, and returns whether it was.
install_packages() {
    has apt-get && [ "$(id -u)" = 0 ] &&
        { apt-get install -qq -y --no-install-recommends "$@" > /dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@" > /dev/null; }; }
}
