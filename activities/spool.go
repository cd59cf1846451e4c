package activities

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolInMemory is how much of a zone's compressed content is held in memory
// during an export, in bytes; the rest of a large zone goes through a file.
const spoolInMemory = 256 << 10

// spool holds a zone's compressed content between the transfer, which must end
// before its digest is known, and the publication.
type spool struct {
	dir    string
	memory bytes.Buffer
	file   *os.File
}

func newSpool(dir string) *spool { return &spool{dir: dir} }

// Write implements [io.Writer].
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.memory.Len()+len(p) <= spoolInMemory {
		return s.memory.Write(p)
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "export-*")
		if err != nil {
			return 0, fmt.Errorf("make a file for the content of a large zone: %w", err)
		}
		s.file = file
		if _, err := s.memory.WriteTo(file); err != nil {
			return 0, err
		}
	}
	return s.file.Write(p)
}

// Reader returns the content from its start.
func (s *spool) Reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes()), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return s.file, nil
}

// Reset forgets what was written.
func (s *spool) Reset() error {
	err := s.Close()
	s.memory.Reset()
	s.file = nil
	return err
}

// Close frees what the spool holds.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
