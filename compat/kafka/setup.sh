#!/usr/bin/env bash
# setup.sh DIR [POM]: jars from Maven Central into DIR/libs: those that POM names, or else Apache Kafka's broker, tools
# and Java clients. A second run with the same POM does nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR [POM]}
pom=${2:-$here/pom.xml}
stamp=$dir/libs.stamp
if [ -e "$stamp" ] && cmp -s "$pom" "$stamp"; then exit 0; fi
mkdir -p "$dir"
rm -rf "$dir/libs"
mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$(cd "$dir" && pwd)/libs"
cp "$pom" "$stamp"
