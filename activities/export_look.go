package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// look asks the local PowerDNS what the zone is and, at the same time, for its
// content: each question takes about as long as the other. Whether the zone is
// there is the API's to say ([api.ErrNotFound]), and the content of one that is not
// distributed is of no interest, nor why it could not be had.
//
// Where it is known what the API would say, the content says all. PowerDNS's answer
// to the creation of a zone has all of it too. What an API call has deleted is most
// likely gone, and is not asked for its content before the API has said otherwise.
func (p *Primary) look(ctx context.Context, zone string, last pdns.Version, in ExportZoneInput, content *spool) (leftOut string, _ pulled, _ error) {
	if in.Answer != nil {
		if leftOut, found, err := p.readAnswer(ctx, zone, in.Answer, content); err == nil {
			return leftOut, found, nil
		}
		if err := content.Reset(); err != nil {
			return "", pulled{}, err
		}
	}
	if p.knows(zone, last, in) {
		if found, err := p.pull(ctx, zone, last, content); err == nil {
			return "", found, nil
		}
		if err := content.Reset(); err != nil {
			return "", pulled{}, err
		}
	}
	if in.Proxied == pdns.ProxiedDelete {
		if leftOut, _, err := p.settings(ctx, zone); err != nil || leftOut != "" {
			return leftOut, pulled{}, err
		}
	}
	pulling, cancel := context.WithCancel(ctx)
	var pull sync.WaitGroup
	defer pull.Wait()
	defer cancel()
	var found pulled
	var pullErr error
	pull.Go(func() { found, pullErr = p.pull(pulling, zone, last, content) })
	leftOut, held, err := p.settings(ctx, zone)
	if err != nil || leftOut != "" {
		return leftOut, pulled{}, err
	}
	pull.Wait()
	if pullErr != nil {
		return "", pulled{}, p.explain(held, pullErr)
	}
	return "", found, nil
}

// settings asks the local PowerDNS what the zone is; leftOut says why it is not
// distributed, if it is not.
func (p *Primary) settings(ctx context.Context, zone string) (leftOut string, held api.Zone, err error) {
	_, ended := trace.Start(ctx, "export zone")
	held, err = p.PowerDNS.Zone(ctx, zone)
	ended(err)
	if err != nil {
		return "", held, err
	}
	return p.leavesOut(held), held, nil
}

// knows says that the zone is there and is distributed, if its content can be had: it
// was just made so, or was found to be and only records have changed since, here and,
// as far as anybody has published or asked, elsewhere.
func (p *Primary) knows(zone string, last pdns.Version, in ExportZoneInput) bool {
	made := in.Made != (pdns.Settings{}) && p.Selection.LeavesOut(zone, in.Made.Kind, in.Made.Account) == ""
	return made || in.Distributed && last.Publisher == p.ID && !last.Deleted && !p.Guard.MayHold(zone)
}

// readAnswer reads a zone from PowerDNS's answer to its creation. The error says why its
// AXFR may say something else.
func (p *Primary) readAnswer(ctx context.Context, zone string, answer []byte, content io.Writer) (leftOut string, found pulled, err error) {
	_, ended := trace.Start(ctx, "export answer")
	defer func() { ended(err) }()
	held, sets, err := api.ReadFilledZone(answer)
	switch {
	case err != nil:
		return "", pulled{}, err
	case held.Name != zone:
		return "", pulled{}, fmt.Errorf("the answer is about zone %s", held.Name)
	case held.DNSSEC || held.Presigned:
		return "", pulled{}, errors.New("the zone is signed")
	case held.EditedSerial != held.Serial:
		return "", pulled{}, errors.New("its serial is edited as it is served")
	}
	if leftOut = p.leavesOut(held); leftOut != "" {
		return leftOut, pulled{}, nil
	}
	found.Summary, err = transfer.EncodeRRsets(content, sets)
	return "", found, err
}

// pulled is a content that was just read. proven says that the last version was
// unproven and that this is what it says.
type pulled struct {
	transfer.Summary
	proven bool
}

func (p *Primary) pull(ctx context.Context, zone string, last pdns.Version, content io.Writer) (found pulled, err error) {
	_, ended := trace.Start(ctx, "export axfr")
	defer func() { ended(err) }()
	if last.Unproven() {
		found.Summary, found.proven, err = transfer.PullAndCompare(ctx, p.DNSAddress, zone, content, merged(ctx, p.Versions, last))
	} else {
		found.Summary, err = transfer.Pull(ctx, p.DNSAddress, zone, content)
	}
	return found, err
}
