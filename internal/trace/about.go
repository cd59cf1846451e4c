package trace

import "go.opentelemetry.io/otel/attribute"

// What spans say, with the keys of the log.

// Zone is the zone's name.
func Zone(name string) attribute.KeyValue { return attribute.String("zone", name) }

// Change is the ID of a change.
func Change(id string) attribute.KeyValue { return attribute.String("change_id", id) }

// Version is the number of a version.
func Version(n int64) attribute.KeyValue { return attribute.Int64("version", n) }

// Serial is an SOA serial.
func Serial(n uint32) attribute.KeyValue { return attribute.Int64("serial", int64(n)) }

// Secondary is the ID of a secondary.
func Secondary(id string) attribute.KeyValue { return attribute.String("secondary", id) }

// Outcome says how a hop ended.
func Outcome(outcome string) attribute.KeyValue { return attribute.String("outcome", outcome) }

// Asked is how often something was asked for until it was done.
func Asked(times int) attribute.KeyValue { return attribute.Int("asked", times) }
