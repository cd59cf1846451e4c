package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// heartbeatEvery is well under the 5 s heartbeat timeout of the workflows'
// options, so that one late beat does not fail an activity.
const heartbeatEvery = 1500 * time.Millisecond

// beat records heartbeats with progress() until the returned stop is called.
// A remote activity then learns of a cancelled or closed workflow within the
// interval: Temporal cancels ctx.
func beat(ctx context.Context, progress func() any) (stop func()) {
	if activity.GetInfo(ctx).IsLocalActivity {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(heartbeatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-ticker.C:
				activity.RecordHeartbeat(ctx, progress())
			}
		}
	}()
	return func() { close(done) }
}
