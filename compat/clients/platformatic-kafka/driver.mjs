// The compatibility suite's program around @platformatic/kafka. compat/README.md describes the requests.

import { randomUUID } from "node:crypto";
import { Admin, ConfigResourceTypes, Consumer, Producer } from "@platformatic/kafka";
import { acksOf, bootstrap, filled, members, poll, record, sendAll, serve } from "./core.mjs";

const common = { clientId: "compat", bootstrapBrokers: [bootstrap], retries: 100, retryDelay: 200, metadataMaxAge: 1000 };
const admin = new Admin({ ...common, retries: 3 });
const TIMES = { latest: -1n, earliest: -2n, max_timestamp: -3n };

async function cluster(topics) {
  const seen = await admin.metadata({ topics, forceUpdate: true });
  const nodes = [...seen.brokers].map(([id, { host, port }]) => [id, host, port]);
  return { cluster_id: seen.id, controller: seen.controllerId, nodes, topics: seen.topics };
}

async function describe_cluster() {
  const { topics, ...seen } = await cluster([]);
  return seen;
}

/** The cluster with all topics. One that somebody deletes meanwhile fails the request; then it is made again. */
async function everything(tries = 5) {
  try {
    return await cluster(await admin.listTopics());
  } catch (error) {
    if (tries === 1) throw error;
    return everything(tries - 1);
  }
}

async function metadata() {
  const { nodes, topics: found, ...seen } = await everything();
  const topics = {};
  for (const [name, { partitions }] of found) {
    topics[name] = partitions.map(({ leader, replicas, isr }, id) => ({ id, leader, replicas, isr }));
  }
  return { ...seen, brokers: nodes, topics };
}

async function create_topic({ topic, partitions, replication, configs }) {
  const list = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [topic], partitions, replicas: replication, configs: list });
  return {};
}

async function delete_topic({ topic }) {
  await admin.deleteTopics({ topics: [topic] });
  return {};
}

async function describe_configs({ resource, name }) {
  const resourceType = resource === "topic" ? ConfigResourceTypes.TOPIC : ConfigResourceTypes.BROKER;
  const [found] = await admin.describeConfigs({ resources: [{ resourceType, resourceName: name }] });
  return { entries: Object.fromEntries(found.configs.map(({ name, value }) => [name, value])) };
}

async function offsets({ topic, partition, at }) {
  const timestamp = TIMES[at] ?? BigInt(at);
  const [found] = await admin.listOffsets({
    topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }],
  });
  return { offset: Number(found.partitions[0].offset) };
}

const bytes = (text) => (text == null ? undefined : Buffer.from(text));

async function produce(request) {
  const { topic, config } = request;
  const options = {
    acks: acksOf(config),
    compression: config.codec ?? "none",
    idempotent: config.idempotent ?? false,
  };
  const producer = new Producer({ ...common, autocreateTopics: true });
  try {
    const send = async (records) => {
      const messages = records.map((r) => ({
        topic,
        partition: r.partition,
        key: bytes(r.key),
        value: bytes(r.value),
        headers: new Map((r.headers ?? []).map(([name, value]) => [Buffer.from(name), bytes(value)])),
        timestamp: r.timestamp === undefined ? undefined : BigInt(r.timestamp),
      }));
      const { offsets } = await producer.send({ messages, ...options });
      return (offsets ?? []).map(({ partition, offset }) => [partition, Number(offset)]);
    };
    return await sendAll(request, send, code);
  } finally {
    await producer.close();
  }
}

const read = (message) => record(message.topic, message.partition, { ...message, headers: [...message.headers] });

const consumerSettings = (config) => ({
  ...common,
  minBytes: config.min_bytes ?? 1,
  maxBytes: config.max_bytes ?? 10_485_760,
  maxWaitTime: config.wait_ms ?? 500,
  isolationLevel: config.isolation === "read_committed" ? 1 : 0,
});

// The client reads in groups only, so this is a group of one with offsets of its own.
async function consume(request) {
  const consumer = new Consumer({ ...consumerSettings(request.config), groupId: `consume-${randomUUID()}` });
  const records = [];
  let failure = null;
  try {
    const named = { beginning: "earliest", end: "latest" };
    const from = async (topic, partition, at) =>
      named[at] ? BigInt((await offsets({ topic, partition, at: named[at] })).offset) : BigInt(at);
    const starts = await Promise.all(
      request.assign.map(async ([topic, partition, at]) => ({ topic, partition, offset: await from(topic, partition, at) })),
    );
    const topics = [...new Set(request.assign.map(([topic]) => topic))];
    const stream = await consumer.consume({ topics, mode: "manual", offsets: starts, autocommit: false });
    const wanted = new Set(starts.map(({ topic, partition }) => `${topic}:${partition}`));
    stream.on("data", (message) => {
      if (wanted.has(`${message.topic}:${message.partition}`)) records.push(read(message));
    });
    stream.on("error", (error) => (failure = error));
    return await filled(request, records, produce, () => failure);
  } finally {
    await consumer.close(true);
  }
}

const pairs = (assignments) =>
  [...(assignments ?? [])].flatMap(({ topic, partitions }) => partitions.map((partition) => [topic, partition]));

async function join(request) {
  const consumer = new Consumer({
    ...consumerSettings(request),
    // A fetch that is under way when the group is rebalanced still delivers the partitions that have moved.
    maxWaitTime: 20,
    groupId: request.group,
    sessionTimeout: request.session_ms,
    rebalanceTimeout: 60_000,
    heartbeatInterval: 1000,
    ...(request.instance_id && { groupInstanceId: request.instance_id }),
  });
  const member = { consumer, records: [], assignment: () => pairs(consumer.assignments), error: null };
  members.set(request.member, member);
  const { topics, reset: fallbackMode, auto_commit_ms: autocommit = false } = request;
  member.stream = await consumer.consume({ topics, mode: "committed", fallbackMode, autocommit });
  member.stream.on("data", (message) => member.records.push(read(message)));
  member.stream.on("error", (error) => (member.error = code(error)));
  return {};
}

async function commit(request) {
  const wanted = request.offsets.map(([topic, partition, offset]) => ({ topic, partition, offset: BigInt(offset), leaderEpoch: -1 }));
  await members.get(request.member).consumer.commit({ offsets: wanted });
  return {};
}

async function group_offsets(request) {
  const [found] = await admin.listConsumerGroupOffsets({ groups: [request.group] });
  const partitions = ({ name, partitions }) =>
    partitions.map(({ partitionIndex, committedOffset }) => [name, partitionIndex, Number(committedOffset)]);
  return { offsets: found.topics.flatMap(partitions) };
}

async function committed(request) {
  const { offsets } = await group_offsets(request);
  const found = new Map(offsets.map(([topic, partition, offset]) => [`${topic}:${partition}`, offset]));
  return { offsets: request.partitions.map(([topic, partition]) => found.get(`${topic}:${partition}`) ?? null) };
}

async function close(request) {
  const { consumer } = members.get(request.member);
  await consumer.close(true);
  members.delete(request.member);
  return {};
}

/** The states' names as Kafka writes them; the client makes them upper case. */
const STATES = ["Unknown", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty"];
const named = (state) => STATES.find((name) => name.toUpperCase() === state);

async function list_groups(request) {
  const states = (request.states ?? []).map((state) => state.toUpperCase());
  const groups = await admin.listGroups({ states, types: ["classic"] });
  return { groups: [...groups.values()].map(({ id, state }) => [id, named(state)]) };
}

async function describe_groups(request) {
  const answer = { groups: {} };
  for (const group of (await admin.describeGroups({ groups: request.groups })).values()) {
    const members = [...group.members.values()].map((member) => ({
      id: member.id,
      instance_id: member.groupInstanceId,
      client_id: member.clientId,
      host: member.clientHost,
      assignment: pairs(member.assignments?.values()),
    }));
    answer.groups[group.id] = { state: named(group.state), protocol: group.protocol, members };
  }
  return answer;
}

async function delete_groups({ groups: [group] }) {
  try {
    await admin.deleteGroups({ groups: [group] });
    return { errors: { [group]: 0 } };
  } catch (error) {
    if (code(error) == null) throw error;
    return { errors: { [group]: code(error) } };
  }
}

/** Runs a change of one partition's offset; the client's errors do not name partitions. */
async function changed(partitions, change) {
  const errors = [];
  for (const [topic, partition, ...rest] of partitions) {
    try {
      await change(topic, partition, ...rest);
    } catch (error) {
      if (code(error) == null) throw error;
      errors.push([topic, partition, code(error)]);
    }
  }
  return { errors };
}

const alter_group_offsets = ({ group: groupId, offsets }) =>
  changed(offsets, (name, partition, offset) => {
    const topics = [{ name, partitionOffsets: [{ partition, offset: BigInt(offset) }] }];
    return admin.alterConsumerGroupOffsets({ groupId, topics });
  });

const delete_group_offsets = ({ group: groupId, partitions }) =>
  changed(partitions, (name, partition) => {
    const topics = [{ name, partitionIndexes: [partition] }];
    return admin.deleteConsumerGroupOffsets({ groupId, topics });
  });

// Kafka's code, wherever the client has put it.
function code(error) {
  if (error == null) return null;
  if (typeof error.apiCode === "number") return error.apiCode;
  for (const inner of [...(error.errors ?? []), error.cause]) {
    if (code(inner) != null) return code(inner);
  }
  return null;
}

const operations = {
  metadata,
  describe_cluster,
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
  alter_group_offsets,
  delete_group_offsets,
};

await serve(operations, code);
