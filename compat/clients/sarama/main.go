// The compatibility suite's program around sarama, at its last release that commits offsets with a version of
// OffsetCommit that Kafka 4 has dropped. It asks no broker for its versions. compat/README.md describes the requests;
// only what consumer groups need is here.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type generate struct {
	Count      int     `json:"count"`
	Prefix     string  `json:"prefix"`
	Size       int     `json:"size"`
	Partitions []int32 `json:"partitions"`
}

type request struct {
	ID           int               `json:"id"`
	Op           string            `json:"op"`
	Topic        string            `json:"topic"`
	Partition    int32             `json:"partition"`
	At           string            `json:"at"`
	Replication  int16             `json:"replication"`
	Configs      map[string]string `json:"configs"`
	Generate     generate          `json:"generate"`
	Member       string            `json:"member"`
	Members      []string          `json:"members"`
	Group        string            `json:"group"`
	Topics       []string          `json:"topics"`
	Reset        string            `json:"reset"`
	SessionMs    int               `json:"session_ms"`
	AutoCommitMs int               `json:"auto_commit_ms"`
	Ms           int               `json:"ms"`
	Offsets      [][3]any          `json:"offsets"`
	// A number for create_topic, a list of pairs for committed.
	Partitions json.RawMessage `json:"partitions"`
}

type answer map[string]any

// member is one member of a group: what it has read, and the session in which it owns its partitions.
type member struct {
	group   sarama.ConsumerGroup
	stop    context.CancelFunc
	stopped chan struct{}
	mu      sync.Mutex
	session sarama.ConsumerGroupSession
	records [][]any
	code    any
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for record := range claim.Messages() {
		m.mu.Lock()
		m.records = append(m.records, []any{
			record.Topic, record.Partition, record.Offset, record.Timestamp.UnixMilli(),
			string(record.Key), string(record.Value), []any{},
		})
		m.mu.Unlock()
		session.MarkMessage(record, "")
	}
	return nil
}

func (m *member) note(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := code(err); known != nil {
		m.code = known
	}
}

var (
	brokers []string
	members = map[string]*member{}
)

func main() {
	brokers = os.Args[1:]
	operations := map[string]func(*request) (answer, error){
		"metadata": metadata, "create_topic": createTopic, "offsets": offsets, "produce": produce, "join": join,
		"poll": poll, "commit": commit, "committed": committed, "close": closeMember,
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
			a, err = nil, errors.New("not an operation of this program")
			if operation := operations[r.Op]; operation != nil {
				a, err = operation(&r)
			}
		}
		if err != nil {
			a = answer{"ok": false, "code": code(err), "message": err.Error()}
		} else {
			a["ok"] = true
		}
		a["id"] = r.ID
		text, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}

// code is Kafka's error code, where the error has one.
func code(err error) any {
	var known sarama.KError
	if errors.As(err, &known) {
		return int16(known)
	}
	return nil
}

// withClient runs work on a client with sarama's defaults.
func withClient(work func(sarama.Client) (answer, error)) (answer, error) {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	client, err := sarama.NewClient(brokers, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return work(client)
}

func metadata(*request) (answer, error) {
	return withClient(func(client sarama.Client) (answer, error) {
		topics, err := client.Topics()
		if err != nil {
			return nil, err
		}
		found := map[string][]answer{}
		for _, topic := range topics {
			partitions, err := client.Partitions(topic)
			if err != nil {
				return nil, err
			}
			for _, partition := range partitions {
				leader, err := client.Leader(topic, partition)
				if err != nil {
					return nil, err
				}
				found[topic] = append(found[topic], answer{"id": partition, "leader": leader.ID()})
			}
		}
		return answer{"topics": found}, nil
	})
}

func createTopic(r *request) (answer, error) {
	return withClient(func(client sarama.Client) (answer, error) {
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			return nil, err
		}
		detail := sarama.TopicDetail{ReplicationFactor: r.Replication, ConfigEntries: map[string]*string{}}
		for key, value := range r.Configs {
			detail.ConfigEntries[key] = &value
		}
		if err := json.Unmarshal(r.Partitions, &detail.NumPartitions); err != nil {
			return nil, err
		}
		return answer{}, admin.CreateTopic(r.Topic, &detail, false)
	})
}

func offsets(r *request) (answer, error) {
	return withClient(func(client sarama.Client) (answer, error) {
		at := sarama.OffsetOldest
		if r.At == "latest" {
			at = sarama.OffsetNewest
		}
		offset, err := client.GetOffset(r.Topic, r.Partition, at)
		return answer{"offset": offset}, err
	})
}

func produce(r *request) (answer, error) {
	return withClient(func(client sarama.Client) (answer, error) {
		producer, err := sarama.NewSyncProducerFromClient(client)
		if err != nil {
			return nil, err
		}
		defer producer.Close()
		records := []*sarama.ProducerMessage{}
		for i := range r.Generate.Count {
			value := fmt.Sprintf("%s%d", r.Generate.Prefix, i)
			value += strings.Repeat(".", max(0, r.Generate.Size-len(value)))
			records = append(records, &sarama.ProducerMessage{
				Topic:     r.Topic,
				Partition: r.Generate.Partitions[i%len(r.Generate.Partitions)],
				Key:       sarama.StringEncoder(fmt.Sprintf("k%d", i)),
				Value:     sarama.StringEncoder(value),
			})
		}
		if err := producer.SendMessages(records); err != nil {
			return nil, err
		}
		acks := [][]any{}
		for _, record := range records {
			acks = append(acks, []any{record.Partition, record.Offset})
		}
		return answer{"acks": acks, "errors": []any{}}, nil
	})
}

func join(r *request) (answer, error) {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	if r.Reset == "latest" {
		config.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	config.Consumer.Offsets.AutoCommit.Enable = r.AutoCommitMs > 0
	if r.AutoCommitMs > 0 {
		config.Consumer.Offsets.AutoCommit.Interval = time.Duration(r.AutoCommitMs) * time.Millisecond
	}
	config.Consumer.Return.Errors = true
	config.Consumer.Group.Session.Timeout = time.Duration(r.SessionMs) * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = time.Second
	group, err := sarama.NewConsumerGroup(brokers, r.Group, config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: group, stop: stop, stopped: make(chan struct{})}
	go func() {
		for err := range group.Errors() {
			m.note(err)
		}
	}()
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, r.Topics, m); err != nil {
				m.note(err)
			}
		}
	}()
	members[r.Member] = m
	return answer{}, nil
}

func poll(r *request) (answer, error) {
	time.Sleep(time.Duration(r.Ms) * time.Millisecond)
	got := answer{}
	for _, name := range r.Members {
		m := members[name]
		m.mu.Lock()
		assignment := [][]any{}
		if m.session != nil {
			for topic, partitions := range m.session.Claims() {
				for _, partition := range partitions {
					assignment = append(assignment, []any{topic, partition})
				}
			}
		}
		records := m.records
		if records == nil {
			records = [][]any{}
		}
		got[name] = answer{"records": records, "assignment": assignment, "error": m.code}
		m.records, m.code = nil, nil
		m.mu.Unlock()
	}
	return answer{"members": got}, nil
}

func commit(r *request) (answer, error) {
	m := members[r.Member]
	m.mu.Lock()
	session := m.session
	m.mu.Unlock()
	if session == nil {
		return nil, errors.New("the member owns nothing now")
	}
	for _, o := range r.Offsets {
		topic, partition, offset := o[0].(string), int32(o[1].(float64)), int64(o[2].(float64))
		// Marking moves only forward, resetting only back.
		session.ResetOffset(topic, partition, offset, "")
		session.MarkOffset(topic, partition, offset, "")
	}
	session.Commit()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.code != nil {
		return nil, sarama.KError(m.code.(int16))
	}
	return answer{}, nil
}

func committed(r *request) (answer, error) {
	return withClient(func(client sarama.Client) (answer, error) {
		var wanted [][2]any
		if err := json.Unmarshal(r.Partitions, &wanted); err != nil {
			return nil, err
		}
		asked := map[string][]int32{}
		for _, p := range wanted {
			asked[p[0].(string)] = append(asked[p[0].(string)], int32(p[1].(float64)))
		}
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			return nil, err
		}
		found, err := admin.ListConsumerGroupOffsets(r.Group, asked)
		if err != nil {
			return nil, err
		}
		offsets := []any{}
		for _, p := range wanted {
			block := found.GetBlock(p[0].(string), int32(p[1].(float64)))
			if block == nil || block.Offset < 0 {
				offsets = append(offsets, nil)
			} else {
				offsets = append(offsets, block.Offset)
			}
		}
		return answer{"offsets": offsets}, nil
	})
}

func closeMember(r *request) (answer, error) {
	m := members[r.Member]
	delete(members, r.Member)
	m.stop()
	<-m.stopped
	return answer{}, m.group.Close()
}
