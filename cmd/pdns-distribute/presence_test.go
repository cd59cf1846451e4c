package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
)

// registered is what Consul lists.
type registered []string

func (r registered) Reachable(context.Context, string) (map[string]discovery.Instance, error) {
	found := make(map[string]discovery.Instance)
	for _, id := range r {
		found[id] = discovery.Instance{ID: id}
	}
	return found, nil
}

// TestOtherPrimaries takes a list that lacks this host for no answer: after Consul
// has lost its catalogue, others lack too.
func TestOtherPrimaries(t *testing.T) {
	for _, c := range []struct {
		listed registered
		want   []string
		known  bool
	}{
		{registered{}, nil, false},
		{registered{"primary-2"}, nil, false},
		{registered{"primary-1"}, nil, true},
		{registered{"primary-1", "primary-2"}, []string{"primary-2"}, true},
	} {
		others, err := presence{consul: c.listed, self: "primary-1"}.OtherPrimaries(t.Context())
		if (err == nil) != c.known || !slices.Equal(others, c.want) {
			t.Errorf("%v: %v, %v", c.listed, others, err)
		}
		if err != nil && !strings.Contains(err.Error(), "registers again") {
			t.Errorf("the error does not say what to do: %v", err)
		}
	}
}
