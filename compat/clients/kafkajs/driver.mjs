// The compatibility suite's program around kafkajs. compat/README.md describes the requests.

import { randomUUID } from "node:crypto";
import kafkajs from "kafkajs";
import SnappyCodec from "kafkajs-snappy";
import { acksOf, bootstrap, close, commit, filled, members, namedLists, pairsOf, poll, record, sendAll, serve } from "./core.mjs";

const { AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes } = kafkajs;
const { Kafka, Partitioners, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;

const retry = { retries: 100, initialRetryTime: 100, maxRetryTime: 1000 };
const kafka = new Kafka({ clientId: "compat", brokers: [bootstrap], logLevel: logLevel.NOTHING, retry });
// An unknown topic is worth a retry to kafkajs; here it is an answer.
const admin = kafka.admin({ retry: { ...retry, retries: 3 } });
await admin.connect();

const read = (batch, message) =>
  record(batch.topic, batch.partition, { ...message, headers: pairsOf(message.headers) });

async function describe_cluster() {
  const seen = await admin.describeCluster();
  const nodes = seen.brokers.map((b) => [b.nodeId, b.host, b.port]);
  return { cluster_id: seen.clusterId, controller: seen.controller, nodes };
}

async function metadata() {
  const seen = await describe_cluster();
  const topics = {};
  for (const { name, partitions } of (await admin.fetchTopicMetadata()).topics) {
    topics[name] = partitions.map((p) => ({
      id: p.partitionId,
      leader: p.leader,
      replicas: p.replicas,
      isr: p.isr,
    }));
  }
  return { ...seen, brokers: seen.nodes, topics };
}

async function create_topic({ topic, partitions, replication, configs }) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  const wanted = { topic, numPartitions: partitions, replicationFactor: replication, configEntries };
  // kafkajs answers false, without an error, when the topic is there already. The suite waits for
  // the leaders by itself.
  if (!(await admin.createTopics({ topics: [wanted], waitForLeaders: false }))) {
    throw Object.assign(new Error("the topic exists"), { code: 36 });
  }
  return {};
}

async function delete_topic({ topic }) {
  await admin.deleteTopics({ topics: [topic] });
  return {};
}

async function describe_configs({ resource, name }) {
  const type = resource === "topic" ? ConfigResourceTypes.TOPIC : ConfigResourceTypes.BROKER;
  const found = await admin.describeConfigs({ resources: [{ type, name }], includeSynonyms: false });
  const entries = {};
  for (const entry of found.resources[0].configEntries) {
    entries[entry.configName] = entry.configValue;
  }
  return { entries };
}

async function offsets({ topic, partition, at }) {
  const found =
    typeof at === "number"
      ? await admin.fetchTopicOffsetsByTimestamp(topic, at)
      : await admin.fetchTopicOffsets(topic);
  const mine = found.find((p) => p.partition === partition);
  return { offset: Number(at === "earliest" ? mine.low : mine.offset) };
}

async function produce(request) {
  const { topic, config } = request;
  const codecs = { gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy };
  const compression = codecs[config.codec] ?? CompressionTypes.None;
  const acks = acksOf(config);
  const producer = kafka.producer({
    allowAutoTopicCreation: true,
    idempotent: config.idempotent ?? false,
    maxInFlightRequests: config.idempotent ? 1 : null,
    createPartitioner: Partitioners.DefaultPartitioner,
    retry,
  });
  await producer.connect();
  try {
    const send = async (records) => {
      const messages = records.map((r) => ({
        ...r,
        headers: namedLists(r.headers),
        timestamp: r.timestamp === undefined ? undefined : String(r.timestamp),
      }));
      const sent = await producer.send({ topic, acks, compression, messages });
      return sent.map((p) => [p.partition, Number(p.baseOffset)]);
    };
    return await sendAll(request, send, code);
  } finally {
    await producer.disconnect();
  }
}

function consumer(config, groupId, more) {
  return kafka.consumer({
    groupId,
    minBytes: config.min_bytes ?? 1,
    maxBytes: config.max_bytes ?? 10_485_760,
    maxBytesPerPartition: config.partition_max_bytes ?? 1_048_576,
    maxWaitTimeInMs: config.wait_ms ?? 500,
    readUncommitted: config.isolation !== "read_committed",
    heartbeatInterval: 1000,
    retry,
    ...more,
  });
}

// kafkajs reads in groups only, so this is a group of one that seeks when it has joined.
async function consume(request) {
  const reader = consumer(request.config, `consume-${randomUUID()}`, {});
  const records = [];
  const starts = new Map();
  for (const [topic, partition, from] of request.assign) {
    const found = (await admin.fetchTopicOffsets(topic)).find((p) => p.partition === partition);
    const offset = { beginning: found.low, end: found.high }[from] ?? String(from);
    starts.set(`${topic}-${partition}`, { topic, partition, offset });
  }
  await reader.connect();
  try {
    const topics = [...new Set(request.assign.map(([topic]) => topic))];
    await reader.subscribe({ topics, fromBeginning: (request.config.reset ?? "earliest") === "earliest" });
    reader.on(reader.events.GROUP_JOIN, () => starts.forEach((start) => reader.seek(start)));
    await reader.run({
      autoCommit: false,
      eachBatch: async ({ batch, resolveOffset }) => {
        for (const message of batch.messages) {
          if (starts.has(`${batch.topic}-${batch.partition}`)) {
            records.push(read(batch, message));
          }
          resolveOffset(message.offset);
        }
      },
    });
    return await filled(request, records, produce);
  } finally {
    await reader.disconnect();
  }
}

async function join(request) {
  let assigned = [];
  const member = { records: [], assignment: () => assigned, error: null };
  member.consumer = consumer(request, request.group, { sessionTimeout: request.session_ms });
  const { GROUP_JOIN, REBALANCING, CRASH } = member.consumer.events;
  member.consumer.on(GROUP_JOIN, ({ payload }) => {
    assigned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => [topic, partition]),
    );
  });
  member.consumer.on(REBALANCING, () => (assigned = []));
  member.consumer.on(CRASH, ({ payload }) => (member.error = code(payload.error)));
  await member.consumer.connect();
  await member.consumer.subscribe({ topics: request.topics, fromBeginning: request.reset === "earliest" });
  members.set(request.member, member);
  await member.consumer.run({
    autoCommit: "auto_commit_ms" in request,
    autoCommitInterval: request.auto_commit_ms,
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      for (const message of batch.messages) {
        member.records.push(read(batch, message));
        resolveOffset(message.offset);
      }
      await heartbeat();
    },
  });
  return {};
}

async function committed(request) {
  const topics = [...new Set(request.partitions.map(([topic]) => topic))];
  const found = await admin.fetchOffsets({ groupId: request.group, topics });
  const offsets = request.partitions.map(([topic, partition]) => {
    const { partitions } = found.find((t) => t.topic === topic);
    const offset = Number(partitions.find((p) => p.partition === partition).offset);
    return offset >= 0 ? offset : null;
  });
  return { offsets };
}

async function describe_groups(request) {
  const answer = { groups: {} };
  for (const group of (await admin.describeGroups(request.groups)).groups) {
    const members = group.members.map((member) => ({
      id: member.memberId,
      client_id: member.clientId,
      host: member.clientHost,
      assignment: assigned(member.memberAssignment),
    }));
    answer.groups[group.groupId] = { state: group.state, protocol: group.protocol, members };
  }
  return answer;
}

function assigned(bytes) {
  const { assignment } = AssignerProtocol.MemberAssignment.decode(bytes) ?? { assignment: {} };
  return Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((p) => [topic, p]));
}

async function delete_groups(request) {
  try {
    const deleted = await admin.deleteGroups(request.groups);
    return { errors: Object.fromEntries(deleted.map((group) => [group.groupId, group.errorCode ?? 0])) };
  } catch (error) {
    if (error.groups == null) throw error;
    return { errors: Object.fromEntries(error.groups.map((group) => [group.groupId, group.errorCode])) };
  }
}

// Kafka's code, wherever kafkajs has put it.
function code(error) {
  if (error == null) return null;
  if (typeof error.code === "number") return error.code;
  return code(error.errors?.[0]) ?? code(error.cause) ?? code(error.originalError);
}

const operations = {
  metadata,
  create_topic,
  delete_topic,
  describe_configs,
  describe_cluster,
  offsets,
  produce,
  consume,
  join,
  poll,
  commit,
  committed,
  close,
  describe_groups,
  delete_groups,
};

await serve(operations, code);
