package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// broker is the one connection to NATS, as the operator.
var broker = sync.OnceValues(func() (jetstream.JetStream, error) {
	nc, err := nats.Connect(env["NATS_URL"], nats.RootCAs(env["NATS_CA"]), nats.UserInfo(env["NATS_USER"], env["NATS_PASSWORD"]), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	return jetstream.New(nc)
})

// allInRoster waits until both secondaries have joined: changes made before would not reach them by a sync of their own.
func allInRoster() error {
	return poll(soon, func() error {
		js, err := broker()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		bucket, err := js.KeyValue(ctx, "pdns-secondaries")
		if err != nil {
			return fmt.Errorf("the roster: %w", err)
		}
		keys, err := bucket.Keys(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
			return fmt.Errorf("the roster: %w", err)
		}
		for _, n := range secondaries {
			if !strings.Contains(" "+strings.Join(keys, " ")+" ", " "+n.name+" ") {
				return fmt.Errorf("%s did not join the roster; it holds %v", n.name, keys)
			}
		}
		return nil
	})
}
