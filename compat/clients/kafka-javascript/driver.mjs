// The compatibility suite's program around @confluentinc/kafka-javascript. compat/README.md describes the requests.
// Producers and members of groups use the API that is modelled on kafkajs; what it cannot do (administration with error
// codes, reading without a group) uses the older callbacks of the same library.

import { promisify } from "node:util";
import confluent from "@confluentinc/kafka-javascript";
import { acksOf, bootstrap, close, commit, filled, members, namedLists, pairsOf, poll, record, sendAll, serve } from "./core.mjs";

const { AdminClient, ConsumerGroupStates, KafkaConsumer, KafkaJS, OffsetSpec, Producer } = confluent;
const { Kafka, logLevel } = KafkaJS;

const CALL_MS = 20_000;
const common = { "client.id": "compat", "bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500 };
const kafka = new Kafka({ ...common, kafkaJS: { logLevel: logLevel.NOTHING } });

/** The methods of an object that take a callback, as functions that answer a promise. */
const promising = (object, ...names) =>
  Object.fromEntries(names.map((name) => [name, promisify(object[name].bind(object))]));

const admin = promising(
  AdminClient.create(common),
  "createTopic",
  "deleteTopic",
  "listOffsets",
  "listGroups",
  "describeGroups",
  "deleteGroups",
  "listConsumerGroupOffsets",
);
const looker = promising(new Producer(common), "connect", "getMetadata", "queryWatermarkOffsets");
await looker.connect({});

async function metadata() {
  const seen = await looker.getMetadata({ timeout: CALL_MS });
  const topics = {};
  for (const { name, partitions } of seen.topics) {
    topics[name] = partitions.map((p) => ({ id: p.id, leader: p.leader, replicas: p.replicas, isr: p.isrs }));
  }
  return { brokers: seen.brokers.map((b) => [b.id, b.host, b.port]), topics };
}

async function create_topic({ topic, partitions, replication, configs }) {
  const wanted = { topic, num_partitions: partitions, replication_factor: replication, config: configs };
  await admin.createTopic(wanted, CALL_MS);
  return {};
}

async function delete_topic({ topic }) {
  await admin.deleteTopic(topic, CALL_MS);
  return {};
}

// The client has no call for configurations.
const describe_configs = async () => ({ entries: null });

async function offsets({ topic, partition, at }) {
  if (at === "earliest" || at === "latest") {
    const ends = await looker.queryWatermarkOffsets(topic, partition, CALL_MS);
    return { offset: at === "earliest" ? ends.lowOffset : ends.highOffset };
  }
  const offset = at === "max_timestamp" ? OffsetSpec.MAX_TIMESTAMP : new OffsetSpec(at);
  const wanted = [{ topic, partition, offset }];
  const [found] = await admin.listOffsets(wanted, { timeout: CALL_MS });
  if (found.error) throw found.error;
  return { offset: found.offset };
}

async function produce(request) {
  const { topic, config } = request;
  const settings = {
    acks: acksOf(config),
    compression: config.codec ?? "none",
    idempotent: config.idempotent ?? false,
  };
  const producer = kafka.producer({
    kafkaJS: settings,
    "linger.ms": config.linger_ms ?? 0,
    ...(config.batch_bytes && { "batch.size": config.batch_bytes }),
    ...(config.max_request_bytes && { "message.max.bytes": config.max_request_bytes }),
  });
  await producer.connect();
  try {
    const send = async (records) => {
      const messages = records.map((r) => ({ ...r, headers: namedLists(r.headers) }));
      const sent = await producer.send({ topic, messages });
      return sent.map((p) => [p.partition, Number(p.baseOffset)]);
    };
    return await sendAll(request, send, code);
  } finally {
    await producer.disconnect();
  }
}

const consumerSettings = (config) => ({
  "auto.offset.reset": config.reset === "none" ? "error" : (config.reset ?? "earliest"),
  "fetch.min.bytes": config.min_bytes ?? 1,
  "fetch.wait.max.ms": config.wait_ms ?? 500,
  "max.partition.fetch.bytes": config.partition_max_bytes ?? 1_048_576,
  "isolation.level": config.isolation ?? "read_uncommitted",
  // The limit of a whole fetch must not be below that of one message.
  ...(config.max_bytes && { "fetch.max.bytes": config.max_bytes, "message.max.bytes": config.max_bytes }),
});

async function consume(request) {
  const settings = { ...common, ...consumerSettings(request.config), "group.id": "unused", "enable.auto.commit": false };
  const reader = new KafkaConsumer(settings);
  const { connect, consume, disconnect } = promising(reader, "connect", "consume", "disconnect");
  reader.setDefaultConsumeTimeout(100);
  await connect({});
  const records = [];
  let failure = null;
  const read = async () => {
    for (const { topic, partition, headers, ...message } of await consume(1000)) {
      const pairs = (headers ?? []).flatMap(pairsOf);
      records.push(record(topic, partition, { ...message, headers: pairs }));
    }
  };
  try {
    const from = (from) => ({ beginning: -2, end: -1 })[from] ?? from;
    reader.assign(request.assign.map(([topic, partition, at]) => ({ topic, partition, offset: from(at) })));
    let reading = true;
    const loop = (async () => {
      while (reading && !failure) await read().catch((error) => (failure = error));
    })();
    try {
      return await filled(request, records, produce, () => failure);
    } finally {
      reading = false;
      await loop;
    }
  } finally {
    await disconnect();
  }
}

async function join(request) {
  const consumer = kafka.consumer({
    kafkaJS: {
      groupId: request.group,
      sessionTimeout: request.session_ms,
      heartbeatInterval: 1000,
      autoCommit: "auto_commit_ms" in request,
      partitionAssignors: [request.assignor ?? "range"],
    },
    ...consumerSettings(request),
    ...(request.auto_commit_ms && { "auto.commit.interval.ms": request.auto_commit_ms }),
    ...(request.instance_id && { "group.instance.id": request.instance_id }),
  });
  const member = { consumer, records: [], error: null };
  member.assignment = () => consumer.assignment().map(({ topic, partition }) => [topic, partition]);
  await consumer.connect();
  await consumer.subscribe({ topics: request.topics });
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      member.records.push(record(topic, partition, { ...message, headers: pairsOf(message.headers) }));
    },
  });
  members.set(request.member, member);
  return {};
}

async function committed(request) {
  const wanted = request.partitions.map(([topic, partition]) => ({ topic, partition }));
  const found = await members.get(request.member).consumer.committed(wanted, CALL_MS);
  const offsets = wanted.map(({ topic, partition }) => {
    const { offset } = found.find((p) => p.topic === topic && p.partition === partition);
    return offset == null ? null : Number(offset);
  });
  return { offsets };
}

/** The states' names as Kafka writes them: PREPARING_REBALANCE is PreparingRebalance. */
const STATES = Object.fromEntries(
  Object.entries(ConsumerGroupStates).map(([name, number]) => [
    number,
    name.toLowerCase().replace(/(^|_)(.)/g, (_, __, letter) => letter.toUpperCase()),
  ]),
);

async function list_groups(request) {
  const matchConsumerGroupStates = (request.states ?? []).map((state) =>
    Number(Object.keys(STATES).find((number) => STATES[number] === state)),
  );
  const options = { timeout: CALL_MS, ...(matchConsumerGroupStates.length && { matchConsumerGroupStates }) };
  const { groups } = await admin.listGroups(options);
  return { groups: groups.map((group) => [group.groupId, STATES[group.state]]) };
}

async function describe_groups(request) {
  const answer = { groups: {} };
  for (const group of (await admin.describeGroups(request.groups, { timeout: CALL_MS })).groups) {
    const members = group.members.map((member) => ({
      id: member.memberId,
      instance_id: member.groupInstanceId ?? null,
      client_id: member.clientId,
      host: member.clientHost,
      assignment: member.assignment.topicPartitions.map(({ topic, partition }) => [topic, partition]),
    }));
    answer.groups[group.groupId] = group.error
      ? { error: group.error.code }
      : { state: STATES[group.state], protocol: group.partitionAssignor, members };
  }
  return answer;
}

async function delete_groups(request) {
  const deleted = await admin.deleteGroups(request.groups, { timeout: CALL_MS });
  return { errors: Object.fromEntries(deleted.map((group) => [group.groupId, group.error?.code ?? 0])) };
}

async function group_offsets(request) {
  const [found] = await admin.listConsumerGroupOffsets([{ groupId: request.group }], { timeout: CALL_MS });
  return { offsets: found.partitions.map(({ topic, partition, offset }) => [topic, partition, Number(offset)]) };
}

const code = (error) => (typeof error?.code === "number" ? error.code : null);

const operations = {
  metadata,
  create_topic,
  delete_topic,
  describe_configs,
  offsets,
  produce,
  consume,
  join,
  poll,
  commit,
  committed,
  close,
  list_groups,
  describe_groups,
  delete_groups,
  group_offsets,
};

await serve(operations, code);
