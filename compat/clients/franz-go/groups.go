package main

import (
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The requests that look at groups and change them from outside.

func listGroups(r *request) (answer, error) {
	found, err := admin.ListGroups(within(30*time.Second), r.States...)
	if err != nil {
		return nil, err
	}
	groups := [][]any{}
	for _, group := range found.Sorted() {
		groups = append(groups, []any{group.Group, group.State})
	}
	return answer{"groups": groups}, nil
}

func describeGroups(r *request) (answer, error) {
	found, err := admin.DescribeGroups(within(30*time.Second), r.Groups...)
	if err != nil {
		return nil, err
	}
	groups := answer{}
	for name, group := range found {
		if group.Err != nil {
			groups[name] = answer{"error": code(group.Err)}
			continue
		}
		members := []answer{}
		for _, member := range group.Members {
			assignment := [][]any{}
			if assigned, ok := member.Assigned.AsConsumer(); ok {
				for _, topic := range assigned.Topics {
					for _, partition := range topic.Partitions {
						assignment = append(assignment, []any{topic.Topic, partition})
					}
				}
			}
			members = append(members, answer{
				"id": member.MemberID, "instance_id": member.InstanceID, "client_id": member.ClientID,
				"host": member.ClientHost, "assignment": assignment,
			})
		}
		groups[name] = answer{"state": group.State, "protocol": group.Protocol, "members": members}
	}
	return answer{"groups": groups}, nil
}

func deleteGroups(r *request) (answer, error) {
	deleted, err := admin.DeleteGroups(within(30*time.Second), r.Groups...)
	if err != nil {
		return nil, err
	}
	failed := answer{}
	for name, group := range deleted {
		failed[name] = 0
		if group.Err != nil {
			failed[name] = code(group.Err)
		}
	}
	return answer{"errors": failed}, nil
}

func groupOffsets(r *request) (answer, error) {
	found, err := admin.FetchOffsets(within(30*time.Second), r.Group)
	if err != nil {
		return nil, err
	}
	offsets := [][]any{}
	for _, o := range found.Sorted() {
		offsets = append(offsets, []any{o.Topic, o.Partition, o.At})
	}
	return answer{"offsets": offsets}, nil
}

func alterGroupOffsets(r *request) (answer, error) {
	wanted := kadm.Offsets{}
	for _, o := range r.Offsets {
		wanted.AddOffset(o[0].(string), int32(o[1].(float64)), int64(o[2].(float64)), -1)
	}
	committed, err := admin.CommitOffsets(within(30*time.Second), r.Group, wanted)
	if err != nil {
		return nil, err
	}
	failed := [][]any{}
	for _, o := range committed.Sorted() {
		if o.Err != nil {
			failed = append(failed, []any{o.Topic, o.Partition, code(o.Err)})
		}
	}
	return answer{"errors": failed}, nil
}

func deleteGroupOffsets(r *request) (answer, error) {
	var wanted [][2]any
	if err := json.Unmarshal(r.Partitions, &wanted); err != nil {
		return nil, err
	}
	partitions := kadm.TopicsSet{}
	for _, p := range wanted {
		partitions.Add(p[0].(string), int32(p[1].(float64)))
	}
	deleted, err := admin.DeleteOffsets(within(30*time.Second), r.Group, partitions)
	if err != nil {
		return nil, err
	}
	failed := [][]any{}
	deleted.EachError(func(topic string, partition int32, err error) {
		failed = append(failed, []any{topic, partition, code(err)})
	})
	return answer{"errors": failed}, nil
}

func removeMembers(r *request) (answer, error) {
	leave := kadm.LeaveGroup(r.Group).InstanceIDs(r.InstanceIDs...).Reason("the compatibility suite removes it")
	left, err := admin.LeaveGroup(within(30*time.Second), leave)
	if err != nil {
		return nil, err
	}
	return answer{}, left.Error()
}
