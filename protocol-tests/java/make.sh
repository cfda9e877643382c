#!/bin/sh
# make.sh KAFKA_LIBS_DIR: writes ../vectors anew with the Kafka jars of that directory (a release's libs/). Needs a JDK 17.
# The same jars give the same files; `git diff` then shows what a later release changed.
set -eu
libs=$(cd "${1:?usage: make.sh KAFKA_LIBS_DIR}" && pwd)
cd "$(dirname "$0")"
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac -Xlint:all,-path -Werror -cp "$libs/*" -d "$classes" ./*.java
java -Duser.timezone=UTC -cp "$classes:$libs/*" Vectors "$libs" ../vectors
version=$(basename "$libs"/kafka-clients-[0-9]*[0-9].jar .jar)
{
    echo "Apache Kafka ${version#kafka-clients-}. Written by protocol-tests/java/make.sh from these jars (SHA-256):"
    cd "$libs"
    for module in clients coordinator-common group-coordinator metadata raft server-common share-coordinator storage transaction-coordinator; do
        sha256sum "kafka-$module-${version#kafka-clients-}.jar"
    done
} >../vectors/ORIGIN
