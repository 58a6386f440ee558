#!/bin/sh
# Runs gotcp in containers: one server, and as many clients as you like.
#
# dockerbuild.ps1 does the same in PowerShell, step by step and word for word. A test compares the two.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
me=$0

usage() {
    cat << END
Runs gotcp in containers: one server, and as many clients as you like.

    $me server          build the image and start the server on the network goTCPnet
    $me client [NAME]   join the chat; asks for a name if none is given
    $me stop            stop the server, and remove the network unless it is still in use

The room is kept in the volume gotcpdata: a server that is started again goes on where the last one stopped.

Options for server:
    --address IP        the server's address on goTCPnet [default: 192.168.111.111]
    --subnet CIDR       the subnet of goTCPnet [default: the /24 around --address]
    --port PORT         the port of this machine that leads to the server [default: 7777]
    --files FOLDER      a folder that the server sees as /files, for certificates and passwords
    '--' OPTION...      options for gotcp server itself, such as '--' --max-clients 50

Options for client:
    '--' OPTION...      options for gotcp client itself, such as '--' --server tls://192.168.111.111

Options for all three:
    --engine NAME       docker or podman [default: docker, or podman if there is no docker]
    --dry-run           show the commands that would change something, but do not run them
    -h, --help          show this help
END
}

server() {
    look container inspect --format '{{.State.Running}}' gotcpserver
    old=$said
    [ "$old" != true ] || die "the server is already running; to stop it: $me stop"
    look network inspect goTCPnet
    found=$(printf '%s\n' "$said" | sed -n 's/.*"[Ss]ubnet": *"\([^"]*\)".*/\1/p' | head -n 1)
    [ "${found:-$subnet}" = "$subnet" ] ||
        die "goTCPnet already exists, with the subnet $found; remove it with $me stop, or give an --address in it"
    # The build stage is given a name: so it is there for the next build, and whatever has no name can be removed.
    run build ${format:+"$format"} --force-rm --target build --tag gotcp-build "$here" || die "cannot build the image"
    run build ${format:+"$format"} --force-rm --tag gotcp "$here" || die "cannot build the image"
    tell image prune --force --filter label=org.opencontainers.image.title=gotcp
    [ -z "$old" ] || must "cannot remove the old server" rm --force gotcpserver
    if [ -z "$found" ]; then
        must "cannot create goTCPnet with the subnet $subnet" network create --subnet "$subnet" goTCPnet
        new_network=yes
    fi
    new_server=yes
    if ! tell run --detach --name gotcpserver --network goTCPnet --ip "$address" --publish "${port}:7777" \
        --restart unless-stopped --read-only --cap-drop ALL --security-opt no-new-privileges \
        --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 \
        --volume gotcpdata:/data ${files:+--volume "$files:/files:ro,z"} gotcp server --log /data/room.db "$@"; then
        # Every engine names a port that it cannot have as HOST:PORT.
        [ "${said#*":$port"}" = "$said" ] || die "port $port of this machine is taken; choose another with --port"
        die "cannot start the server: $(reason)"
    fi
    tries=10
    until [ -n "$dry_run" ] || look exec gotcpserver gotcp client --probe --server 127.0.0.1:7777; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            tell logs --tail 1 gotcpserver
            die "the server does not answer: $(reason)"
        fi
        sleep 1
    done
    new_network='' new_server=''
    [ -z "$dry_run" ] || return 0
    say "the server is running on port $port of this machine; to watch it: $engine logs --follow gotcpserver"
    say "to join: $me client; to stop the server: $me stop"
}

client() {
    look container inspect --format '{{.NetworkSettings.Networks.goTCPnet.IPAddress}}' gotcpserver
    address=$said
    matches "$address" "$ip" || die "no server is running; to start one: $me server"
    if [ -z "$name" ]; then
        printf 'Your name: '
        read -r name
        [ -n "$name" ] || die "joining takes a name"
    fi
    # The same six digits are in the person's name and in the container's, so it is clear whose container is whose.
    # A container's name allows few characters; which names are allowed in the chat is for gotcp to say.
    tag=$(od -A n -N 3 -t x1 /dev/urandom | tr -d ' \n')
    container=gotcpclient$(printf %s "$name" | LC_ALL=C tr -cd 'A-Za-z0-9_.-' | cut -c 1-32)$tag
    # The image has no table of time zones, but a fixed offset from UTC needs none. POSIX writes its sign the other way.
    zone=$(date +%z | sed 'y/+-/-+/; s/..$/:&/')
    tty=false
    if [ -t 0 ] && [ -t 1 ]; then tty=true; fi
    run run --rm --interactive "--tty=$tty" --name "$container" --network goTCPnet --no-healthcheck \
        --env "GOTCP_SERVER=${address}:7777" --env "TZ=local$zone" --read-only --cap-drop ALL \
        --security-opt no-new-privileges gotcp client --no-tag "--username=$name#$tag" "$@"
}

stop() {
    if look container inspect gotcpserver; then
        must "cannot stop the server" stop gotcpserver
        must "cannot remove the server" rm --force gotcpserver
        say "what was said is kept in the volume gotcpdata; to remove it: $engine volume rm gotcpdata"
    elif ! look network inspect goTCPnet; then
        say "there is nothing to stop"
    fi
    if look network inspect goTCPnet; then
        look ps --all --filter network=goTCPnet --format '{{.Names}}'
        others=$(printf '%s\n' "$said" | grep -v -x gotcpserver | paste -s -d ' ' -)
        if [ -n "$others" ]; then
            say "keeping goTCPnet, which is still used by $others"
        else
            must "cannot remove goTCPnet" network rm goTCPnet
        fi
    fi
}

# Four ways to call the engine. `look` only asks. `tell` changes something; both leave the output in $said. `must` is a
# `tell` that ends the script if it fails. `run` lets people see the output. In a dry run, all but `look` only show.
look() { said=$("$engine" "$@" 2> /dev/null); }
tell() { if [ -n "$dry_run" ]; then show "$@"; else said=$("$engine" "$@" 2>&1); fi; }
must() { what=$1 && shift && { tell "$@" || die "$what: $(reason)"; }; }
run() { if [ -n "$dry_run" ]; then show "$@"; else "$engine" "$@"; fi; }

# Prints a command so that it can be typed.
show() {
    line=$engine
    for word; do
        matches "$word" '[A-Za-z0-9_./:=,@%+-]+' || word="'$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
        line="$line $word"
    done
    printf '%s\n' "$line"
}

# Of what the engine said, the line that names the problem.
reason() {
    { printf '%s\n' "$said" | grep -i '^error' || printf '%s\n' "$said" | tail -n 1; } |
        head -n 1 | sed 's/^[Ee]rror[^:]*: *//'
}

# Takes back what was done for a server that did not start.
undo() {
    [ -z "$new_server" ] || tell rm --force gotcpserver
    [ -z "$new_network" ] || tell network rm goTCPnet
}

matches() { printf '%s\n' "$1" | grep -E -q "^($2)\$"; }
number() { printf '%s\n' "$1" | { IFS=. read -r a b c d && echo $((a << 24 | b << 16 | c << 8 | d)); }; }
say() { printf 'dockerbuild: %s\n' "$1"; }
die() { say "$1" >&2 && exit 1; }
wrong() { say "$1 (see $me -h)" >&2 && exit 2; }

command='' name='' engine='' dry_run='' said='' new_network='' new_server='' for_server='' passed_on='' format='' files=''
address=192.168.111.111 subnet='' port=7777
byte='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
ip="$byte\.$byte\.$byte\.$byte"

while [ $# -gt 0 ]; do
    word=$1 && shift
    case $word in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=yes ;;
    --) passed_on=yes && break ;;
    --address=* | --subnet=* | --port=* | --files=* | --engine=*) set -- "${word%%=*}" "${word#*=}" "$@" ;;
    --address | --subnet | --port | --files | --engine)
        [ $# -gt 0 ] || wrong "$word needs a value"
        [ "$word" = --engine ] || for_server=$word
        eval "${word#--}=\$1" && shift
        ;;
    -*) wrong "there is no option $word; options for gotcp itself come after '--'" ;;
    *)
        [ -z "$command" ] || [ "$command$name" = client ] || wrong "unexpected argument $word"
        if [ -z "$command" ]; then command=$word; else name=$word; fi
        ;;
    esac
done

matches "$command" 'server|client|stop' || wrong "say what to do: server, client or stop"
[ "$command" = server ] || [ -z "$for_server" ] || wrong "$for_server is for server only"
[ "$command" != stop ] || [ -z "$passed_on" ] || wrong "'--' is for server and client only"
matches "$engine" '(docker|podman)?' || wrong "$engine is neither docker nor podman"
{ matches "$port" '[1-9][0-9]{0,4}' && [ "$port" -le 65535 ]; } || wrong "$port is not a port"
matches "$address" "$ip" || wrong "$address is not an address like 192.168.111.111"
subnet=${subnet:-${address%.*}.0/24}
matches "$subnet" "$ip/([89]|[12][0-9]|30)" || wrong "$subnet is not a subnet like 192.168.111.0/24"
size=$((1 << (32 - ${subnet#*/})))
start=$(number "${subnet%/*}")
place=$(($(number "$address") - start))
[ $((start % size)) -eq 0 ] || wrong "$subnet is not a subnet like 192.168.111.0/24"
[ $((place >= 0 && place < size)) -eq 1 ] || wrong "$address is not in the subnet $subnet"
[ $((place > 0 && place < size - 1)) -eq 1 ] || wrong "$address cannot be used: it is at an end of $subnet"
[ -z "$files" ] || [ -d "$files" ] || wrong "$files is not a folder"
files=${files:+$(CDPATH='' cd -- "$files" && pwd -P)}
[ "$place" -ne 1 ] || wrong "$address cannot be used: it is the gateway of $subnet"

[ -n "$engine" ] || { command -v docker || ! command -v podman; } > /dev/null || engine=podman
engine=${engine:-docker}
command -v "$engine" > /dev/null || die "there is no $engine on this machine; Docker or Podman is needed"
# Podman's own image format has no HEALTHCHECK.
[ "$engine" = docker ] || format=--format=docker
said=$("$engine" ps --quiet 2>&1) || die "$engine does not answer: $(reason)"
trap undo EXIT
trap 'exit 1' HUP INT TERM
"$command" "$@"
