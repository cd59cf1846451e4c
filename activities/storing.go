package activities

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sync/semaphore"
)

// storing keeps calls that delete a zone apart from the others that have PowerDNS store
// something: on SQLite it reads in the transaction that deletes, which fails at once
// ("database is locked") where another one is being stored. The zero value is ready.
//
// What PowerDNS stores of a transfer it stores by itself, at no known time.
type storing struct {
	once  sync.Once
	calls *semaphore.Weighted
}

// beside waits for its turn among deletes, or until ctx ends; others may store meanwhile.
func (s *storing) beside(ctx context.Context) (end func(), err error) { return s.take(ctx, 1) }

// alone waits until nothing else is stored.
func (s *storing) alone(ctx context.Context) (end func(), err error) {
	return s.take(ctx, math.MaxInt64)
}

func (s *storing) take(ctx context.Context, n int64) (end func(), err error) {
	s.once.Do(func() { s.calls = semaphore.NewWeighted(math.MaxInt64) })
	if err := s.calls.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.calls.Release(n) }, nil
}
