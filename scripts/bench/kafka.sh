#!/usr/bin/env bash
# kafka.sh HOME DATA PORT: Apache Kafka from HOME/libs (compat/kafka/setup.sh fills it) in the foreground:
# one node, broker and controller in one, with the defaults of its release. An empty DATA is formatted.
set -euo pipefail
home=${1:?usage: kafka.sh HOME DATA PORT}
data=${2:?}
port=${3:?}
mkdir -p "$data"
cat > "$data/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:$((port + 1))
listeners=PLAINTEXT://:$port,CONTROLLER://:$((port + 1))
advertised.listeners=PLAINTEXT://localhost:$port,CONTROLLER://localhost:$((port + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.dirs=$data/logs
P
log4j=$data/log4j2.properties
printf 'rootLogger.level=warn\nrootLogger.appenderRef.e.ref=E\nappender.e.type=Console\nappender.e.name=E\nappender.e.target=SYSTEM_ERR\nappender.e.layout.type=PatternLayout\nappender.e.layout.pattern=%%d %%p %%m (%%c)%%n\n' > "$log4j"
run() { java "${@:2}" -Dlog4j2.configurationFile="$log4j" -cp "$home/libs/*" "$1" "${args[@]}"; }
if [ ! -e "$data/logs/meta.properties" ]; then
  # As one argument: an id may begin with a dash.
  args=(format --standalone "--cluster-id=$(head -c16 /dev/urandom | basenc --base64url | cut -c1-22)" -c "$data/server.properties")
  run kafka.tools.StorageTool -Xmx128m > /dev/null
fi
# Heap and collector as Kafka's own start script sets them.
exec java -Xmx1g -Xms1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true -Dlog4j2.configurationFile="$log4j" \
  -cp "$home/libs/*" kafka.Kafka "$data/server.properties"
