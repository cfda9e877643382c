// The compatibility suite's program around franz-go. compat/README.md describes the requests.
package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type config struct {
	Acks              string `json:"acks"`
	Codec             string `json:"codec"`
	Idempotent        bool   `json:"idempotent"`
	LingerMs          int    `json:"linger_ms"`
	BatchBytes        int32  `json:"batch_bytes"`
	MaxRequestBytes   int32  `json:"max_request_bytes"`
	Reset             string `json:"reset"`
	MinBytes          int32  `json:"min_bytes"`
	WaitMs            int    `json:"wait_ms"`
	PartitionMaxBytes int32  `json:"partition_max_bytes"`
	MaxBytes          int32  `json:"max_bytes"`
	Isolation         string `json:"isolation"`
}

type generate struct {
	Count      int     `json:"count"`
	Prefix     string  `json:"prefix"`
	Size       int     `json:"size"`
	Partitions []int32 `json:"partitions"`
	Partition  *int32  `json:"partition"`
}

type record struct {
	Partition *int32      `json:"partition"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Headers   [][]*string `json:"headers"`
	Timestamp *int64      `json:"timestamp"`
}

type request struct {
	ID            int               `json:"id"`
	Op            string            `json:"op"`
	Topic         string            `json:"topic"`
	Partition     int32             `json:"partition"`
	Replication   int16             `json:"replication"`
	Configs       map[string]string `json:"configs"`
	Resource      string            `json:"resource"`
	Name          string            `json:"name"`
	At            any               `json:"at"`
	Config        config            `json:"config"`
	Generate      *generate         `json:"generate"`
	Records       []record          `json:"records"`
	RatePerS      float64           `json:"rate_per_s"`
	ProgressEvery int               `json:"progress_every"`
	Assign        [][3]any          `json:"assign"`
	Count         int               `json:"count"`
	TimeoutMs     int               `json:"timeout_ms"`
	Late          *generate         `json:"produce_when_positioned"`
	Member        string            `json:"member"`
	Members       []string          `json:"members"`
	Group         string            `json:"group"`
	Topics        []string          `json:"topics"`
	Reset         string            `json:"reset"`
	SessionMs     int               `json:"session_ms"`
	Assignor      string            `json:"assignor"`
	InstanceID    string            `json:"instance_id"`
	AutoCommitMs  int               `json:"auto_commit_ms"`
	Ms            int               `json:"ms"`
	Offsets       [][3]any          `json:"offsets"`
	Groups        []string          `json:"groups"`
	States        []string          `json:"states"`
	InstanceIDs   []string          `json:"instance_ids"`
	// A number for create_topic, a list of pairs for committed.
	Partitions json.RawMessage `json:"partitions"`
}

type answer map[string]any

// member is one member of a group and the partitions it owns now.
type member struct {
	client *kgo.Client
	mu     sync.Mutex
	owned  map[string]map[int32]bool
}

func (m *member) change(partitions map[string][]int32, owned bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, list := range partitions {
		for _, partition := range list {
			if m.owned[topic] == nil {
				m.owned[topic] = map[int32]bool{}
			}
			m.owned[topic][partition] = owned
		}
	}
}

func (m *member) assignment() [][]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := [][]any{}
	for topic, partitions := range m.owned {
		for partition, owned := range partitions {
			if owned {
				list = append(list, []any{topic, partition})
			}
		}
	}
	return list
}

var (
	bootstrap string
	admin     *kadm.Client
	members   = map[string]*member{}
	out       sync.Mutex
)

func emit(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	fmt.Println(string(line))
}

func main() {
	bootstrap = os.Args[1]
	client, err := connect()
	if err != nil {
		panic(err)
	}
	admin = kadm.NewClient(client)
	operations := map[string]func(*request) (answer, error){
		"metadata": metadata, "create_topic": createTopic, "delete_topic": deleteTopic,
		"describe_configs": describeConfigs, "describe_cluster": describeCluster,
		"offsets": offsets, "produce": produce, "consume": consume, "join": join,
		"poll": poll, "commit": commit, "committed": committed, "close": closeMember,
		"list_groups": listGroups, "describe_groups": describeGroups, "delete_groups": deleteGroups,
		"group_offsets": groupOffsets, "alter_group_offsets": alterGroupOffsets,
		"delete_group_offsets": deleteGroupOffsets, "remove_members": removeMembers,
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		var a answer
		if err = json.Unmarshal(line, &r); err == nil {
			a, err = operations[r.Op](&r)
		}
		if err != nil {
			a = answer{"ok": false, "code": code(err), "message": err.Error()}
		} else {
			a["ok"] = true
		}
		a["id"] = r.ID
		emit(a)
	}
}

// code is Kafka's error code, where the error has one.
func code(err error) any {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return nil
}

func connect(options ...kgo.Opt) (*kgo.Client, error) {
	base := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.AllowAutoTopicCreation(),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	return kgo.NewClient(append(base, options...)...)
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	time.AfterFunc(d, cancel)
	return ctx
}

func metadata(*request) (answer, error) {
	seen, err := admin.Metadata(within(30 * time.Second))
	if err != nil {
		return nil, err
	}
	brokers := [][]any{}
	for _, b := range seen.Brokers {
		brokers = append(brokers, []any{b.NodeID, b.Host, b.Port})
	}
	topics := map[string][]answer{}
	for name, topic := range seen.Topics {
		if topic.Err != nil {
			continue
		}
		for _, p := range topic.Partitions {
			topics[name] = append(topics[name], answer{
				"id": p.Partition, "leader": p.Leader, "replicas": p.Replicas, "isr": p.ISR,
			})
		}
	}
	return answer{
		"cluster_id": seen.Cluster, "controller": seen.Controller, "brokers": brokers, "topics": topics,
	}, nil
}

func describeCluster(*request) (answer, error) {
	seen, err := admin.BrokerMetadata(within(30 * time.Second))
	if err != nil {
		return nil, err
	}
	nodes := [][]any{}
	for _, b := range seen.Brokers {
		nodes = append(nodes, []any{b.NodeID, b.Host, b.Port})
	}
	return answer{"cluster_id": seen.Cluster, "controller": seen.Controller, "nodes": nodes}, nil
}

func createTopic(r *request) (answer, error) {
	configs := map[string]*string{}
	for key, value := range r.Configs {
		configs[key] = &value
	}
	var partitions int32
	if err := json.Unmarshal(r.Partitions, &partitions); err != nil {
		return nil, err
	}
	done, err := admin.CreateTopic(within(30*time.Second), partitions, r.Replication, configs, r.Topic)
	if err == nil {
		err = done.Err
	}
	return answer{}, err
}

func deleteTopic(r *request) (answer, error) {
	done, err := admin.DeleteTopic(within(30*time.Second), r.Topic)
	if err == nil {
		err = done.Err
	}
	return answer{}, err
}

func describeConfigs(r *request) (answer, error) {
	var found kadm.ResourceConfigs
	var err error
	if r.Resource == "topic" {
		found, err = admin.DescribeTopicConfigs(within(30*time.Second), r.Name)
	} else {
		var id int
		if id, err = strconv.Atoi(r.Name); err != nil {
			return nil, err
		}
		found, err = admin.DescribeBrokerConfigs(within(30*time.Second), int32(id))
	}
	if err != nil {
		return nil, err
	}
	entries := map[string]*string{}
	for _, resource := range found {
		if resource.Err != nil {
			return nil, resource.Err
		}
		for _, entry := range resource.Configs {
			entries[entry.Key] = entry.Value
		}
	}
	return answer{"entries": entries}, nil
}

func offsets(r *request) (answer, error) {
	ctx := within(30 * time.Second)
	var found kadm.ListedOffsets
	var err error
	switch at := r.At.(type) {
	case float64:
		found, err = admin.ListOffsetsAfterMilli(ctx, int64(at), r.Topic)
	case string:
		switch at {
		case "earliest":
			found, err = admin.ListStartOffsets(ctx, r.Topic)
		case "latest":
			found, err = admin.ListEndOffsets(ctx, r.Topic)
		case "max_timestamp":
			found, err = admin.ListMaxTimestampOffsets(ctx, r.Topic)
		}
	}
	if err != nil {
		return nil, err
	}
	offset, ok := found.Lookup(r.Topic, r.Partition)
	if !ok {
		return nil, errors.New("no answer for the partition")
	}
	return answer{"offset": offset.Offset}, offset.Err
}

func text(data []byte) *string {
	if data == nil {
		return nil
	}
	s := string(data)
	return &s
}

func reported(data []byte) *string {
	if len(data) > 128 {
		s := fmt.Sprintf("md5:%x:%d", md5.Sum(data), len(data))
		return &s
	}
	return text(data)
}

func asList(r *kgo.Record) []any {
	headers := [][]any{}
	for _, h := range r.Headers {
		headers = append(headers, []any{h.Key, text(h.Value)})
	}
	return []any{
		r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli(), text(r.Key), reported(r.Value), headers,
	}
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func recordsOf(r *request) []*kgo.Record {
	records := []*kgo.Record{}
	if g := r.Generate; g != nil {
		for i := range g.Count {
			value := fmt.Sprintf("%s%d", g.Prefix, i)
			value += strings.Repeat(".", max(0, g.Size-len(value)))
			records = append(records, &kgo.Record{
				Topic:     r.Topic,
				Partition: g.Partitions[i%len(g.Partitions)],
				Key:       fmt.Appendf(nil, "k%d", i),
				Value:     []byte(value),
			})
		}
		return records
	}
	for _, given := range r.Records {
		made := &kgo.Record{Topic: r.Topic, Key: bytesOf(given.Key), Value: bytesOf(given.Value)}
		if given.Partition != nil {
			made.Partition = *given.Partition
		}
		if given.Timestamp != nil {
			made.Timestamp = time.UnixMilli(*given.Timestamp)
		}
		for _, h := range given.Headers {
			made.Headers = append(made.Headers, kgo.RecordHeader{Key: *h[0], Value: bytesOf(h[1])})
		}
		records = append(records, made)
	}
	return records
}

func produce(r *request) (answer, error) {
	c := r.Config
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[c.Codec]),
		kgo.ProducerLinger(time.Duration(c.LingerMs) * time.Millisecond),
	}
	switch c.Acks {
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !c.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if c.MaxRequestBytes > 0 {
		options = append(options, kgo.ProducerBatchMaxBytes(c.MaxRequestBytes))
	} else if c.BatchBytes > 0 {
		options = append(options, kgo.ProducerBatchMaxBytes(c.BatchBytes))
	}
	client, err := connect(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := recordsOf(r)
	acks := make([][]int64, len(records))
	refused := [][]any{}
	count := 0
	var mu sync.Mutex
	started := time.Now()
	for i, made := range records {
		client.Produce(context.Background(), made, func(sent *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused = append(refused, []any{i, code(err)})
				return
			}
			acks[i] = []int64{int64(sent.Partition), sent.Offset}
			count++
			if r.ProgressEvery > 0 && count%r.ProgressEvery == 0 {
				emit(answer{"id": r.ID, "event": "acked", "count": count})
			}
		})
		for r.RatePerS > 0 && float64(i) > r.RatePerS*time.Since(started).Seconds() {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err := client.Flush(within(80 * time.Second)); err != nil {
		return nil, err
	}
	return answer{"acks": acks, "errors": refused}, nil
}

func consumerOptions(c config) []kgo.Opt {
	reset := kgo.NewOffset().AtStart()
	switch c.Reset {
	case "latest":
		reset = kgo.NewOffset().AtEnd()
	case "none":
		reset = kgo.NoResetOffset()
	}
	options := []kgo.Opt{kgo.ConsumeResetOffset(reset)}
	if c.MinBytes > 0 {
		options = append(options, kgo.FetchMinBytes(c.MinBytes))
	}
	if c.WaitMs > 0 {
		options = append(options, kgo.FetchMaxWait(time.Duration(c.WaitMs)*time.Millisecond))
	}
	if c.PartitionMaxBytes > 0 {
		options = append(options, kgo.FetchMaxPartitionBytes(c.PartitionMaxBytes))
	}
	if c.MaxBytes > 0 {
		options = append(options, kgo.FetchMaxBytes(c.MaxBytes))
	}
	if c.Isolation == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return options
}

func consume(r *request) (answer, error) {
	starts := map[string]map[int32]kgo.Offset{}
	for _, part := range r.Assign {
		topic := part[0].(string)
		if starts[topic] == nil {
			starts[topic] = map[int32]kgo.Offset{}
		}
		start := kgo.NewOffset()
		switch from := part[2].(type) {
		case float64:
			start = start.At(int64(from))
		case string:
			if from == "beginning" {
				start = start.AtStart()
			} else {
				start = start.AtEnd()
			}
		}
		starts[topic][int32(part[1].(float64))] = start
	}
	client, err := connect(append(consumerOptions(r.Config), kgo.ConsumePartitions(starts))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := [][]any{}
	deadline := time.Now().Add(time.Duration(r.TimeoutMs) * time.Millisecond)
	positioned := time.Now().Add(2500 * time.Millisecond)
	for len(records) < r.Count && time.Now().Before(deadline) {
		fetches := client.PollFetches(within(200 * time.Millisecond))
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.DeadlineExceeded) && !errors.Is(failed.Err, context.Canceled) {
				return nil, failed.Err
			}
		}
		fetches.EachRecord(func(got *kgo.Record) { records = append(records, asList(got)) })
		if r.Late != nil && time.Now().After(positioned) {
			r.Late.Partitions = []int32{*r.Late.Partition}
			if _, err := produce(&request{Topic: r.Assign[0][0].(string), Generate: r.Late}); err != nil {
				return nil, err
			}
			r.Late = nil
		}
	}
	return answer{"records": records}, nil
}

func join(r *request) (answer, error) {
	m := &member{owned: map[string]map[int32]bool{}}
	options := append(
		consumerOptions(config{Reset: r.Reset}),
		kgo.ConsumerGroup(r.Group),
		kgo.ConsumeTopics(r.Topics...),
		kgo.SessionTimeout(time.Duration(r.SessionMs)*time.Millisecond),
		kgo.HeartbeatInterval(time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.change(got, true) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { m.change(lost, false) }),
	)
	if r.AutoCommitMs > 0 {
		options = append(options, kgo.AutoCommitInterval(time.Duration(r.AutoCommitMs)*time.Millisecond))
	} else {
		options = append(options, kgo.DisableAutoCommit())
	}
	options = append(options, kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, gone map[string][]int32) {
		if r.AutoCommitMs > 0 {
			_ = c.CommitUncommittedOffsets(ctx)
		}
		m.change(gone, false)
	}))
	if r.Assignor != "" {
		options = append(options, kgo.Balancers(map[string]kgo.GroupBalancer{
			"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
			"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
		}[r.Assignor]))
	}
	if r.InstanceID != "" {
		options = append(options, kgo.InstanceID(r.InstanceID))
	}
	client, err := connect(options...)
	if err != nil {
		return nil, err
	}
	m.client = client
	members[r.Member] = m
	return answer{}, nil
}

func poll(r *request) (answer, error) {
	type seen struct {
		records [][]any
		code    any
	}
	got := map[string]*seen{}
	for _, name := range r.Members {
		got[name] = &seen{records: [][]any{}}
	}
	deadline := time.Now().Add(time.Duration(r.Ms) * time.Millisecond)
	for {
		for _, name := range r.Members {
			fetches := members[name].client.PollFetches(within(50 * time.Millisecond))
			for _, failed := range fetches.Errors() {
				if known := code(failed.Err); known != nil {
					got[name].code = known
				}
			}
			fetches.EachRecord(func(r *kgo.Record) { got[name].records = append(got[name].records, asList(r)) })
		}
		if time.Now().After(deadline) {
			break
		}
	}
	list := answer{}
	for name, s := range got {
		list[name] = answer{"records": s.records, "assignment": members[name].assignment(), "error": s.code}
	}
	return answer{"members": list}, nil
}

func commit(r *request) (answer, error) {
	wanted := map[string]map[int32]kgo.EpochOffset{}
	for _, o := range r.Offsets {
		topic := o[0].(string)
		if wanted[topic] == nil {
			wanted[topic] = map[int32]kgo.EpochOffset{}
		}
		wanted[topic][int32(o[1].(float64))] = kgo.EpochOffset{Epoch: -1, Offset: int64(o[2].(float64))}
	}
	var failed error
	members[r.Member].client.CommitOffsetsSync(within(30*time.Second), wanted,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err != nil {
				return
			}
			for _, topic := range response.Topics {
				for _, partition := range topic.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(partition.ErrorCode))
				}
			}
		})
	return answer{}, failed
}

func committed(r *request) (answer, error) {
	var wanted [][2]any
	if err := json.Unmarshal(r.Partitions, &wanted); err != nil {
		return nil, err
	}
	found, err := admin.FetchOffsets(within(30*time.Second), r.Group)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, p := range wanted {
		if o, ok := found.Lookup(p[0].(string), int32(p[1].(float64))); ok && o.At >= 0 {
			list = append(list, o.At)
		} else {
			list = append(list, nil)
		}
	}
	return answer{"offsets": list}, nil
}

func closeMember(r *request) (answer, error) {
	members[r.Member].client.Close()
	delete(members, r.Member)
	return answer{}, nil
}
