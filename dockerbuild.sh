#!/bin/sh
# A chatting network of containers with one command: one server, and as many clients as there are people.
#
# dockerbuild.ps1 is the same for PowerShell. What the two ask of the engine and what they say to people stands word
# for word in both, and a test holds them to it: whoever changes one changes the other.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
me=$0

usage() {
    cat << END
A chatting network of containers.

    $me server          build the image and run the server, on the network goTCPnet
    $me client [NAME]   join it, as often as you like; asks for NAME if it is not given
    $me stop            end the server and remove the network, unless others still use it

For server:
    --address IP        the server's address on goTCPnet [default: 192.168.111.111]
    --subnet CIDR       what goTCPnet spans [default: the 256 addresses around --address]
    --port PORT         the port of this machine that leads to the server [default: 7777]

For all three:
    --engine NAME       docker or podman [default: docker, or podman where there is no docker]
    --dry-run           look at what is there, but only show the commands that would change it
    -h, --help          show this
END
}

# ---------------------------------------------------------------------------------------------------------------------
# What is asked of the engine. `ask` looks; `tell` changes something, quietly; `run` does so before people's eyes.

engine_answers() {
    ask "$engine" ps --quiet
}

server_exists() {
    ask "$engine" container inspect --format '{{.State.Running}}' gotcpserver
}

server_address() {
    ask "$engine" container inspect --format '{{.NetworkSettings.Networks.goTCPnet.IPAddress}}' gotcpserver
}

server_answers() {
    ask "$engine" exec gotcpserver gotcp client --probe
}

server_log() {
    ask "$engine" logs --tail 1 gotcpserver
}

network_exists() {
    ask "$engine" network inspect goTCPnet
}

network_users() {
    ask "$engine" ps --all --filter network=goTCPnet --format '{{.Names}}'
}

image_exists() {
    ask "$engine" image inspect gotcp
}

build_image() {
    run "$engine" build --force-rm --tag gotcp "$here"
}

# Podman's own kind of image has no place for the HEALTHCHECK; Docker's kind has, and Podman can make that, too.
build_image_with_podman() {
    run "$engine" build --format docker --force-rm --tag gotcp "$here"
}

make_network() {
    tell "$engine" network create --subnet "$subnet" goTCPnet
}

remove_network() {
    tell "$engine" network rm goTCPnet
}

make_server() {
    tell "$engine" create --name gotcpserver --network goTCPnet --ip "$address" --publish "${port}:7777" \
        --env "GOTCP_LISTEN=${address}:7777" --env "GOTCP_SERVER=${address}:7777" --restart unless-stopped \
        --read-only --cap-drop ALL --security-opt no-new-privileges gotcp server
}

start_server() {
    tell "$engine" start gotcpserver
}

stop_server() {
    tell "$engine" stop gotcpserver
}

remove_server() {
    tell "$engine" rm --force gotcpserver
}

join_as_client() {
    run "$engine" run --rm --interactive "--tty=${tty}" --name "$container" --network goTCPnet \
        --env "GOTCP_SERVER=${address}:7777" --env "TZ=local${zone}" --no-healthcheck \
        --read-only --cap-drop ALL --security-opt no-new-privileges gotcp client --no-tag "--username=${name}#${tag}"
}

# ---------------------------------------------------------------------------------------------------------------------
# The three things to do.

server() {
    leftover=''
    if server_exists; then
        [ "$said" != true ] || die "a server runs already; $me stop ends it"
        leftover=yes
    fi
    found=''
    if network_exists; then
        found=$(printf '%s\n' "$said" | sed -n 's/.*"[Ss]ubnet": *"\([^"]*\)".*/\1/p' | head -n 1)
        [ "$found" = "$subnet" ] ||
            die "goTCPnet is there already, with the subnet $found; $me stop removes it, --address and --subnet fit it"
    fi
    build
    if [ -n "$leftover" ]; then
        remove_server || die "cannot replace the server that ended: $(reason)"
    fi
    if [ -z "$found" ]; then
        make_network || die "cannot make goTCPnet with the subnet ${subnet}: $(reason)"
        made_network=yes
    fi
    make_server || die "cannot make the server: $(reason)"
    made_server=yes
    if ! start_server; then
        # Where the port is the trouble, every engine names it as HOST:PORT.
        case $complaint in
        *":${port}"*) die "port $port of this machine is taken, or not yours to take; choose another with --port" ;;
        esac
        die "cannot start the server: $(reason)"
    fi
    if [ -z "$dry_run" ]; then
        wait_for_server
        say "the server runs at port $port of this machine; to watch it: $engine logs --follow gotcpserver"
        say "to join it: $me client; to end it: $me stop"
    fi
    made_network=''
    made_server=''
}

client() {
    address=''
    if server_address && is_address "$said"; then address=$said; fi
    [ -n "$address" ] || die "no server runs; $me server starts one"
    if [ -z "$name" ]; then
        printf 'Your name: '
        read -r name
        [ -n "$name" ] || die "nobody joins without a name"
    fi
    image_exists || build
    # The same six digits in the chat as in the container's name: so one can tell whose container is whose.
    tag=$(od -A n -N 3 -t x1 /dev/urandom | tr -d ' \n')
    # A name may hold more than a container's name may. What a name may hold is for the client to say.
    plain=$(printf %s "$name" | LC_ALL=C tr -cd 'A-Za-z0-9_.-' | cut -c 1-32)
    container=gotcpclient$plain$tag
    # The image has no table of time zones, but needs none to tell the time a known distance from UTC. (POSIX counts
    # that distance the other way round.)
    zone=$(date +%z | sed 'y/+-/-+/; s/..$/:&/')
    tty=false
    if [ -t 0 ] && [ -t 1 ]; then tty=true; fi
    join_as_client
}

stop() {
    nothing=yes
    if server_exists; then
        nothing=''
        stop_server || die "cannot stop the server: $(reason)"
        remove_server || die "cannot remove the server: $(reason)"
    fi
    if network_exists; then
        nothing=''
        network_users || die "cannot tell who uses goTCPnet: $(reason)"
        others=$(printf '%s\n' "$said" | grep -v -x gotcpserver | paste -s -d ' ' -)
        if [ -n "$others" ]; then
            say "goTCPnet stays, because it is still used by $others"
        else
            remove_network || die "cannot remove goTCPnet: $(reason)"
        fi
    fi
    if [ -n "$nothing" ]; then say "nothing to stop"; fi
}

# ---------------------------------------------------------------------------------------------------------------------
# What they are made of.

build() {
    if [ "$engine" = podman ]; then
        build_image_with_podman
    else
        build_image
    fi || die "the image could not be built; the lines above say why"
}

# A server that cannot run is found out here, and not by the first client.
wait_for_server() {
    tries=10
    until server_answers; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            server_log
            die "the server does not answer: $(reason)"
        fi
        sleep 1
    done
}

# However this ends: what was begun and came to nothing is taken back.
undo() {
    if [ -n "$made_server" ]; then remove_server; fi
    if [ -n "$made_network" ]; then remove_network; fi
}

is_here() {
    command -v "$1" > /dev/null
}

is_port() {
    printf '%s\n' "$1" | grep -E -q '^[1-9][0-9]{0,4}$' && [ "$1" -le 65535 ]
}

is_address() {
    printf '%s\n' "$1" | grep -E -q '^([0-9]{1,3}\.){3}[0-9]{1,3}$'
}

# Leaves the answer in $said, and what else the engine had to say, which may be idle warnings, in $complaint.
ask() {
    said=$("$@" 2> "$complaints")
    code=$?
    complaint=$(cat "$complaints")
    return "$code"
}

tell() {
    if [ -n "$dry_run" ]; then show "$@"; else ask "$@"; fi
}

run() {
    if [ -n "$dry_run" ]; then show "$@"; else "$@"; fi
}

# A command as one could type it.
show() {
    line=''
    for word; do
        case $word in
        '' | *[!A-Za-z0-9_./:=,@%+-]*) word="'$(printf %s "$word" | sed "s/'/'\\\\''/g")'" ;;
        esac
        line="$line $word"
    done
    printf '%s\n' "${line# }"
}

# The line that says what went wrong, among whatever was said.
reason() {
    { printf '%s\n' "$complaint" | grep -i '^error' || printf '%s\n' "${said:-$complaint}" | tail -n 1; } |
        head -n 1 | sed 's/^[Ee]rror[^:]*: *//'
}

say() {
    printf 'dockerbuild: %s\n' "$1"
}

die() {
    say "$1" >&2
    exit 1
}

wrong() {
    say "$1 (see $me -h)" >&2
    exit 2
}

# ---------------------------------------------------------------------------------------------------------------------

command='' name='' engine='' dry_run='' said='' complaint='' made_network='' made_server='' for_server=''
address=192.168.111.111
subnet=''
port=7777

while [ $# -gt 0 ]; do
    word=$1
    case $word in
    -h | --help)
        usage
        exit 0
        ;;
    --dry-run) dry_run=yes ;;
    --address | --subnet | --port | --engine)
        [ $# -gt 1 ] || wrong "$word needs a value"
        shift
        value=$1
        case $word in
        --address) address=$value for_server=$word ;;
        --subnet) subnet=$value for_server=$word ;;
        --port) port=$value for_server=$word ;;
        --engine)
            case $value in
            docker | podman) engine=$value ;;
            *) wrong "$value is neither docker nor podman" ;;
            esac
            ;;
        esac
        ;;
    -*) wrong "there is no option $word" ;;
    *)
        if [ -z "$command" ]; then
            command=$word
        elif [ "$command" = client ] && [ -z "$name" ]; then
            name=$word
        else
            wrong "$command has no use for $word"
        fi
        ;;
    esac
    shift
done

case $command in
server) ;;
client | stop) [ -z "$for_server" ] || wrong "$for_server is for server alone" ;;
'') wrong "say what to do: server, client or stop" ;;
*) wrong "there is no $command, only server, client and stop" ;;
esac
is_address "$address" || wrong "$address is not an address like 192.168.111.111"
[ -n "$subnet" ] || subnet=${address%.*}.0/24
is_address "${subnet%/*}" || wrong "$subnet is not a subnet like 192.168.111.0/24"
is_port "$port" || wrong "$port is not a port"

if [ -z "$engine" ]; then
    engine=docker
    if ! is_here docker && is_here podman; then engine=podman; fi
fi
is_here "$engine" || die "there is no $engine on this machine; Docker or Podman is needed"

complaints=$(mktemp) || exit 1
trap 'undo; rm -f "$complaints"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

engine_answers || die "$engine does not answer: $(reason)"
"$command"
