#!/usr/bin/env bash
# .ci/consul.sh DEST: builds Consul into DEST/consul, from the module proxy, for the tests against a real agent.
# Its go.mod replaces its own submodules by paths that a downloaded module does not have, so these are taken at the
# versions it asks for. A build takes about ten minutes on two cores; an existing DEST/consul of this version is kept.
set -euo pipefail
VERSION=1.22.7
DEST=${1:?usage: .ci/consul.sh DEST}
mkdir -p "$DEST"
DEST=$(cd "$DEST" && pwd)
built() { # in one piece: a reader that has seen enough would end the writer with an error
  [ -x "$DEST/consul" ] && [[ $("$DEST/consul" version) == "Consul v$VERSION"$'\n'* ]]
}
if built; then exit 0; fi
work=$(mktemp -d /tmp/ringctl-consul.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init consulbuild 2>/dev/null
src=$(go mod download -json "github.com/hashicorp/consul@v$VERSION" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
cp -r "$src" src
chmod -R u+w src
cd src
for m in api envoyextensions proto-public sdk troubleshoot; do go mod edit -dropreplace "github.com/hashicorp/consul/$m"; done
go mod edit -require github.com/hashicorp/consul/api@v1.34.1
go build -mod=mod -o "$DEST/consul" .
built
