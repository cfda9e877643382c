#!/bin/sh
# make.sh KAFKA_LIBS_DIR OLD_KAFKA_LIBS_DIR: writes ../vectors anew with the Kafka jars of these directories (a release's
# libs/; the second of 3.9, which still has the versions in codegen/old-versions.txt). Needs a JDK 17.
# The same jars give the same files; `git diff` then shows what a later release changed.
set -eu
libs=$(cd "${1:?usage: make.sh KAFKA_LIBS_DIR OLD_KAFKA_LIBS_DIR}" && pwd)
old_libs=$(cd "${2:?usage: make.sh KAFKA_LIBS_DIR OLD_KAFKA_LIBS_DIR}" && pwd)
cd "$(dirname "$0")"
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac -Xlint:all,-path -Werror -cp "$libs/*" -d "$classes/new" ./*.java
java -Duser.timezone=UTC -cp "$classes/new:$libs/*" Vectors "$libs" ../vectors
javac -Xlint:all,-path -Werror -cp "$old_libs/*" -d "$classes/old" OldVersions.java Messages.java Spec.java Values.java
old_clients=$(echo "$old_libs"/kafka-clients-[0-9]*[0-9].jar)
java -cp "$classes/old:$old_libs/*" OldVersions "$old_clients" ../../codegen/old-versions.txt ../vectors/old-messages
version=$(basename "$libs"/kafka-clients-[0-9]*[0-9].jar .jar)
{
    echo "Apache Kafka ${version#kafka-clients-}. Written by protocol-tests/java/make.sh from these jars (SHA-256):"
    cd "$libs"
    for module in clients coordinator-common group-coordinator metadata raft server-common share-coordinator storage transaction-coordinator; do
        sha256sum "kafka-$module-${version#kafka-clients-}.jar"
    done
    echo "old-messages/ is of an older release:"
    cd "$old_libs"
    sha256sum "$(basename "$old_clients")"
} >../vectors/ORIGIN
