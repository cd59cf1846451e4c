package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

func TestEachReasonIsToldOnceAnOutage(t *testing.T) {
	var text bytes.Buffer
	l := &outage.Log{Logger: slog.New(slog.NewTextHandler(&text, nil)), What: "NATS"}
	refused, denied := errors.New("refused"), errors.New("denied")
	for _, err := range []error{nil, refused, refused, refused, denied, denied, refused, denied, nil, nil, refused} {
		if err == nil {
			l.OK("url", "tls://nats")
		} else {
			l.Failed(err, "url", "tls://nats")
		}
	}
	var told []string
	for line := range strings.Lines(text.String()) {
		for _, what := range []string{"error=refused", "error=denied", "works again"} {
			if strings.Contains(line, what) && strings.Contains(line, "url=tls://nats") {
				told = append(told, what)
			}
		}
	}
	if got := strings.Join(told, ", "); got != "error=refused, error=denied, works again, error=refused" {
		t.Errorf("told %s:\n%s", got, text.String())
	}
}
