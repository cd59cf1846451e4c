package client

// RRset is an RRset as the API takes it.
type RRset struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	TTL        uint32   `json:"ttl"`
	ChangeType string   `json:"changetype,omitempty"`
	Records    []Record `json:"records"`
}

// Record is the content of one record.
type Record struct {
	Content  string `json:"content"`
	Disabled bool   `json:"disabled"`
}

// Zone is a new zone as the API takes it.
type Zone struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"`
	SOAEditAPI string   `json:"soa_edit_api"`
	DNSSEC     bool     `json:"dnssec,omitempty"`
	Masters    []string `json:"masters,omitempty"`
	RRsets     []RRset  `json:"rrsets,omitempty"`
}

// Set is an RRset with a TTL of 300 s.
func Set(name, rrtype string, contents ...string) RRset {
	s := RRset{Name: name, Type: rrtype, TTL: 300, Records: make([]Record, len(contents))}
	for i, content := range contents {
		s.Records[i].Content = content
	}
	return s
}

// Replace is the body of a PATCH that replaces these RRsets, and deletes those without records.
func Replace(sets ...RRset) map[string]any {
	for i := range sets {
		sets[i].ChangeType = "REPLACE"
		if len(sets[i].Records) == 0 {
			sets[i].ChangeType = "DELETE"
		}
	}
	return map[string]any{"rrsets": sets}
}
