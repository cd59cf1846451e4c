package activities

import (
	"context"
	"math"
)

// storing keeps calls that delete a zone apart from the others that have PowerDNS store
// something: on SQLite it reads in the transaction that deletes, which fails at once
// ("database is locked") where another one is being stored. The zero value is ready.
//
// What PowerDNS stores of a transfer it stores by itself, at no known time.
type storing struct{ calls places }

// beside makes a call when no zone is being deleted, unless ctx ends before; others may
// store meanwhile.
func (s *storing) beside(ctx context.Context, call func() error) error {
	return s.taking(ctx, 1, call)
}

// alone makes a call when nothing else is being stored, unless ctx ends before.
func (s *storing) alone(ctx context.Context, call func() error) error {
	return s.taking(ctx, math.MaxInt64, call)
}

func (s *storing) taking(ctx context.Context, n int64, call func() error) error {
	calls := s.calls.of(math.MaxInt64)
	if err := calls.Acquire(ctx, n); err != nil {
		return err
	}
	defer calls.Release(n)
	return call()
}
