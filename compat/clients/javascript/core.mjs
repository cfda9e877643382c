// What the programs around JavaScript clients share: the requests and answers of compat/README.md, the records that
// are sent, and the members of groups. What a client does is in its own driver.mjs.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

export const bootstrap = process.argv[2];
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const emit = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const text = (data) => (data == null ? null : data.toString());

/** Answers requests until there are no more. `code` finds Kafka's error code in what an operation throws. */
export async function serve(operations, code) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      emit({ ...(await operations[request.op](request)), id: request.id, ok: true });
    } catch (error) {
      emit({ id: request.id, ok: false, code: code(error), message: String(error?.message ?? error) });
    }
  }
  process.exit(0);
}

/** One record that was read, as it is reported. Headers are pairs of a name and bytes. */
export function record(topic, partition, { offset, timestamp, key, value, headers }) {
  const named = headers.map(([name, one]) => [text(name), text(one)]);
  return [topic, partition, Number(offset), Number(timestamp), text(key), reported(value), named];
}

function reported(data) {
  if (data != null && data.length > 128) {
    return `md5:${createHash("md5").update(data).digest("hex")}:${data.length}`;
  }
  return text(data);
}

/** Headers as kafkajs has them, `{name: [value]}`, from and to pairs. */
export const pairsOf = (headers) =>
  Object.entries(headers ?? {}).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));

export function namedLists(pairs) {
  const headers = {};
  for (const [name, value] of pairs ?? []) {
    (headers[name] ??= []).push(value);
  }
  return headers;
}

function recordsOf(request) {
  if (!request.generate) return request.records.map((record) => ({ ...record, value: record.value ?? null }));
  const { count, prefix, size, partitions } = request.generate;
  return Array.from({ length: count }, (_, i) => ({
    partition: partitions[i % partitions.length],
    key: `k${i}`,
    value: `${prefix}${i}`.padEnd(size, "."),
  }));
}

/**
 * Sends the records of a request in their order. `send(records)` answers the first offset of each partition, as a Map;
 * what it throws refuses all the records it was given. What is sent at once may become one batch for each partition.
 */
export async function sendAll(request, send, code) {
  const records = recordsOf(request);
  const answer = { acks: new Array(records.length).fill(null), errors: [] };
  const perChunk = request.rate_per_s ? Math.ceil(request.rate_per_s / 10) : 1000;
  for (let first = 0; first < records.length; ) {
    let end = first;
    for (let bytes = 0; end < records.length && end - first < perChunk; end++) {
      bytes += 50 + (records[end].value?.length ?? 0);
      if (end > first && bytes > (request.config.batch_bytes ?? 500_000)) break;
    }
    const chunk = records.slice(first, end);
    const began = Date.now();
    try {
      const next = new Map(await send(chunk));
      chunk.forEach(({ partition }, i) => {
        const offset = request.config.acks === "0" ? -1 : next.get(partition);
        next.set(partition, offset + 1);
        answer.acks[first + i] = [partition, offset];
      });
    } catch (error) {
      chunk.forEach((_, i) => answer.errors.push([first + i, code(error)]));
    }
    if (request.progress_every) {
      emit({ id: request.id, event: "acked", count: end });
    }
    first = end;
    if (request.rate_per_s) {
      await sleep(Math.max(0, 100 - (Date.now() - began)));
    }
  }
  return answer;
}

/**
 * Waits until a consumer has put the records that are asked for into `records`, and writes those of
 * `produce_when_positioned` meanwhile. `failed()` answers the error that ended the consumer, if one did.
 */
export async function filled(request, records, produce, failed = () => null) {
  const deadline = Date.now() + request.timeout_ms;
  const positioned = Date.now() + 2500;
  let late = request.produce_when_positioned;
  while (records.length < request.count && Date.now() < deadline) {
    await sleep(20);
    if (failed()) throw failed();
    if (late && Date.now() > positioned) {
      const generate = { ...late, partitions: [late.partition] };
      await produce({ topic: request.assign[0][0], generate, config: {} });
      late = null;
    }
  }
  return { records };
}

/** Members of groups by name. Each has the records since it was last looked at, and its `assignment()` and `error`. */
export const members = new Map();

export async function poll(request) {
  await sleep(request.ms);
  const answer = { members: {} };
  for (const name of request.members) {
    const member = members.get(name);
    const { records, error } = member;
    member.records = [];
    answer.members[name] = { records, assignment: member.assignment(), error };
  }
  return answer;
}

/** The number that a request's `acks` stand for. */
export const acksOf = (config) => ({ 0: 0, 1: 1, all: -1 })[config.acks ?? "all"];

/** Members of groups in clients with the interface of kafkajs. */
export async function commit(request) {
  const wanted = request.offsets.map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) }));
  await members.get(request.member).consumer.commitOffsets(wanted);
  return {};
}

export async function close(request) {
  await members.get(request.member).consumer.disconnect();
  members.delete(request.member);
  return {};
}
