#!/bin/sh
# Makes a stand-in for the image that the Dockerfile builds in, out of what is installed on this machine: for tests
# where no registry of images can be reached. What is built in it works the same, but is not what people should run.
#
#     tests/support/builder-image.sh NAME        for example rust:1.95-alpine; the engine is $ENGINE, or docker
#
# The real image has a toolchain for musl, which links programs statically by itself. The stand-in has this machine's
# toolchain for glibc, a wrapper around rustc that asks for static programs, the few programs that the RUN lines of the
# Dockerfile call, and the sources of all dependencies, because a build in it has no crates registry to ask either.
set -eu

name=${1:?say what the image is to be called}
engine=${ENGINE:-docker}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' INT TERM

# Puts files where they are on this machine too, which is where they look for one another. Links are followed, so that
# /lib/x becomes /usr/lib/x and no chain of links has to come along.
put() {
    for file; do
        folder=$(readlink -f -- "$(dirname -- "$file")")
        mkdir -p "$stage$folder"
        cp -L -- "$file" "$stage$folder/"
    done
}

# Puts what programs and libraries load, save what is in place already.
put_libraries_of() {
    for file; do
        ldd "$file" 2> /dev/null | grep -o '/[^ ]*' | while read -r library; do
            case $library in "$stage"*) ;; *) put "$library" ;; esac
        done
    done
}

mkdir -p "$stage/tmp" "$stage/usr/bin" "$stage/usr/lib" "$stage/usr/lib64" "$stage/usr/local/bin" \
    "$stage/usr/local/cargo" "$stage/usr/local/lib/rustlib/$host"
ln -s usr/bin "$stage/bin"
ln -s usr/lib "$stage/lib"
ln -s usr/lib64 "$stage/lib64"

# What the Dockerfile's RUN lines call, and the linker with what it links.
for program in sh cat cp echo mkdir rm tee touch cc as ar; do
    put "/usr/bin/$program"
done
for program in cc1 collect2 lto-wrapper; do
    put "$(cc -print-prog-name=$program)"
done
# What C is compiled with: SQLite's.
headers=$(cc -print-file-name=include)
mkdir -p "$stage$headers" "$stage/usr/include"
cp -R "$headers/." "$stage$headers/"
cp -R /usr/include/. "$stage/usr/include/"
put "$(cc -print-file-name=liblto_plugin.so)"
put_libraries_of "$stage"/usr/bin/* "$(cc -print-prog-name=collect2)" "$(cc -print-prog-name=cc1)"
for file in crt1.o Scrt1.o rcrt1.o crti.o crtn.o crtbegin.o crtbeginS.o crtbeginT.o crtend.o crtendS.o \
    libgcc.a libgcc_eh.a libgcc_s.so libgcc_s.so.1 libc.a libc.so libc.so.6 libc_nonshared.a libm.a libm.so libm.so.6 \
    libmvec.a libmvec.so.1 libpthread.a librt.a libdl.a libutil.a; do
    path=$(cc -print-file-name="$file")
    # A file that this glibc does not have is answered with its bare name.
    [ "$path" = "$file" ] || put "$path"
done
put "$(cc -print-file-name=libm.so.6 | xargs dirname)"/libm-*.a

# The toolchain, without the sanitizers.
cp -L "$sysroot/bin/rustc" "$sysroot/bin/cargo" "$stage/usr/local/bin/"
cp -L "$sysroot"/lib/*.so* "$stage/usr/local/lib/"
cp -R "$sysroot/lib/rustlib/$host/bin" "$sysroot/lib/rustlib/$host/lib" "$stage/usr/local/lib/rustlib/$host/"
rm -f "$stage/usr/local/lib/rustlib/$host/lib/"*san.a
put_libraries_of "$stage"/usr/local/lib/*.so* "$stage"/usr/local/bin/*

cat > "$stage/usr/local/bin/rustc-static" <<'END'
#!/bin/sh
# Cargo's first question to rustc, with --print, is about every kind of crate at once, and no procedural macro can be
# static: that one is let through as it is.
case " $* " in
*" --print"*) ;;
*" --crate-type bin "*) set -- "$@" -C target-feature=+crt-static ;;
esac
exec "$@"
END
chmod +x "$stage/usr/local/bin/rustc-static"

cargo vendor --quiet --locked --manifest-path "$root/Cargo.toml" "$stage/usr/local/cargo/vendor" > /dev/null
cat > "$stage/usr/local/cargo/config.toml" <<'END'
[build]
rustc-wrapper = "/usr/local/bin/rustc-static"
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/usr/local/cargo/vendor"
END

tar -c -C "$stage" . | "$engine" import \
    --change 'ENV CARGO_HOME=/usr/local/cargo' \
    --change 'ENV PATH=/usr/local/bin:/usr/bin' \
    --change 'LABEL gotcp.stand-in=true' \
    - "$name" > /dev/null
