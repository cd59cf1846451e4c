package main

import (
	"bytes"
	"os"
	"testing"
)

// TestReferenceIsCurrent holds docs/configuration.md to the struct.
func TestReferenceIsCurrent(t *testing.T) {
	want, err := reference("../config.go")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is not what the struct says: run `go generate ./internal/config`")
	}
}
