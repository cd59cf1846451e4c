package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What an *Error is, for errors.Is.
var (
	// ErrNotFound means that PowerDNS does not hold the zone.
	ErrNotFound = errors.New("zone not found")
	// ErrConflict means that the zone exists already.
	ErrConflict = errors.New("zone exists already")
	// ErrRejected means that PowerDNS will not do this however often it is asked,
	// such as make a zone whose name has an octet that its API does not take.
	ErrRejected = errors.New("request refused")
)

// Error is an answer of PowerDNS that is no success. It never holds the key.
type Error struct {
	// Status is the HTTP status code.
	Status int
	// Message is what PowerDNS said, at most 300 octets of it.
	Message string
	// Zone is the zone that was asked for, empty where none was.
	Zone string
	// Step says what was to be done, such as "create zone".
	Step string
}

func (e *Error) Error() string {
	subject := e.Step
	if e.Zone != "" {
		subject += " " + e.Zone
	}
	advice := ""
	if e.Status == http.StatusUnauthorized {
		advice = " (check that powerdns.api_key_file holds the api-key of this PowerDNS)"
	}
	return fmt.Sprintf("PowerDNS API: %s: %d %s%s", subject, e.Status, e.Message, advice)
}

// Is makes errors.Is work with ErrNotFound, ErrConflict and ErrRejected.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		// Some calls answer 422 with this text for an unknown zone.
		return e.Zone != "" && (e.Status == http.StatusNotFound ||
			e.Status == http.StatusUnprocessableEntity && strings.HasPrefix(e.Message, "Could not find domain"))
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrRejected:
		return e.Status == http.StatusUnprocessableEntity && !e.Is(ErrNotFound)
	}
	return false
}

// maxMessage is how much of a message is kept, in octets.
const maxMessage = 300

// message takes the text out of an error's body, which is
// {"error":"…","errors":[…]} or plain text.
func message(status int, body []byte) string {
	var answer struct {
		Error  string   `json:"error"`
		Errors []string `json:"errors"`
	}
	text := string(body)
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		text = strings.Join(append([]string{answer.Error}, answer.Errors...), "; ")
	}
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		text = http.StatusText(status)
	}
	if len(text) > maxMessage {
		text = text[:maxMessage] + "…"
	}
	return text
}
