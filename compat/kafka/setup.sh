#!/usr/bin/env bash
# setup.sh DIR: Apache Kafka's broker, tools and Java clients from Maven Central's jars, into DIR/libs.
# The release is the one pom.xml names; a second run with the same pom.xml does nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
stamp=$dir/libs.stamp
if [ -e "$stamp" ] && cmp -s "$here/pom.xml" "$stamp"; then exit 0; fi
mkdir -p "$dir"
rm -rf "$dir/libs"
mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$(cd "$dir" && pwd)/libs"
cp "$here/pom.xml" "$stamp"
