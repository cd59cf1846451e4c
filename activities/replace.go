package activities

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// errNotOurs says that a zone was not found to be held here as one of ours.
var errNotOurs = errors.New("the local PowerDNS does not hold the zone as one of ours")

// replace brings a zone that this secondary has applied before. PowerDNS is told
// to fetch it while it is asked whether the zone still is ours, and gets nothing
// before the answer: the question takes about as long as PowerDNS needs to begin.
//
// errNotOurs means that nothing was handed out, and the zone is to be looked at
// first: it is missing, is somebody else's by now, or could not be asked for.
func (s *Secondary) replace(ctx context.Context, v pdns.Version, open opener) error {
	content, err := open(ctx, v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	looked := make(chan struct{})
	var before standing
	go func() {
		defer close(looked)
		var err error
		if before, err = s.look(ctx, v.Zone); err != nil {
			cancel(err)
		}
	}()
	handedOut := func(asking context.Context) (io.ReadCloser, error) {
		<-looked
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		return content(asking)
	}
	err = s.install(ctx, v, handedOut, func() standing { return before })
	<-looked
	if errors.Is(context.Cause(ctx), errNotOurs) {
		return errNotOurs
	}
	return err
}

// look asks at once whether a zone is ours and how it stands.
func (s *Secondary) look(ctx context.Context, zone string) (standing, error) {
	ctx, ended := trace.Start(ctx, "apply look")
	var asking sync.WaitGroup
	var before standing
	asking.Go(func() { before = s.served(ctx, zone) })
	held, err := s.PowerDNS.Zone(ctx, zone)
	asking.Wait()
	ended(err)
	if err != nil || !held.OwnedBy(pdns.Account, s.Master) {
		return before, errNotOurs
	}
	return before.with(held), nil
}
